use proptest::prelude::*;

use super::*;
use crate::{
    models::{
        gguf::blocks::{Bits, BlockMatrix},
        import::packed::pack,
    },
    worker::kernels::Alone,
};

/// Real threads, one a part.
struct Threads(usize);

impl Team for Threads {
    fn members(&self) -> usize {
        self.0
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for part in 0..parts {
                scope.spawn(move || work(part));
            }
        });
    }
}

fn kernels() -> Vec<Kernel> {
    let mut kernels = vec![Kernel::Portable];
    if Kernel::best() != Kernel::Portable {
        kernels.push(Kernel::best());
    }
    kernels
}

fn halves(range: std::ops::Range<f32>) -> impl Strategy<Value = f32> {
    range.prop_map(|number| f16::from_f32(number).to_f32())
}

fn any_matrix() -> impl Strategy<Value = BlockMatrix> {
    let bits = prop_oneof![Just(Bits::Four), Just(Bits::Eight)];
    (bits, 1..4_usize, 1..40_usize).prop_flat_map(|(bits, blocks, rows)| {
        let code = match bits {
            // Often at the ends, where sums are largest.
            Bits::Four => prop_oneof![0..=15_i8, Just(15)].boxed(),
            Bits::Eight => prop_oneof![-127..=127_i8, Just(-127), Just(127)].boxed(),
        };
        let minimums = match bits {
            Bits::Four => halves(-0.5..0.5).boxed(),
            Bits::Eight => Just(0.0).boxed(),
        };
        let count = rows * blocks;
        (
            proptest::collection::vec(code, count * BLOCK),
            proptest::collection::vec(halves(-0.1..0.1), count),
            proptest::collection::vec(minimums, count),
        )
            .prop_map(move |(codes, scales, minimums)| BlockMatrix {
                rows,
                columns: blocks * BLOCK,
                bits,
                codes,
                scales,
                minimums,
            })
    })
}

/// Weights, rows, and numbers for a gated input.
fn any_work() -> impl Strategy<Value = (BlockMatrix, usize, Vec<f32>)> {
    (any_matrix(), 1..11_usize).prop_flat_map(|(matrix, rows)| {
        let number =
            prop_oneof![8 => -4.0..4.0_f32, 1 => Just(4.0), 1 => Just(-4.0), 1 => Just(0.0)];
        let numbers = proptest::collection::vec(number, 2 * rows * matrix.columns);
        (Just(matrix), Just(rows), numbers)
    })
}

fn outputs(
    kernel: Kernel,
    matrix: &BlockMatrix,
    input: Input<'_>,
    rows: usize,
    team: &dyn Team,
) -> Vec<u32> {
    let (layout, bytes) = pack(matrix);
    let packed = Packed::new(&bytes, layout, matrix.columns, matrix.rows).unwrap();
    let mut output = vec![f32::NAN; rows * matrix.rows];
    multiply(kernel, &packed, input, rows, &mut output, team);
    output.into_iter().map(f32::to_bits).collect()
}

proptest! {
    // On a processor with other instructions this checks those.
    #[test]
    fn every_kernel_gives_the_same_bits((matrix, rows, numbers) in any_work()) {
        let plain = Input::Plain(&numbers[..rows * matrix.columns]);
        let gated = |activation| Input::Gated { gate_up: &numbers, activation };
        for input in [plain, gated(Activation::Silu), gated(Activation::GeluTanh)] {
            let expected = outputs(Kernel::Portable, &matrix, input, rows, &Alone);
            for kernel in kernels() {
                prop_assert_eq!(&outputs(kernel, &matrix, input, rows, &Alone), &expected);
            }
        }
    }

    #[test]
    fn a_row_is_the_same_among_others_and_on_any_team((matrix, rows, numbers) in any_work()) {
        let numbers = &numbers[..rows * matrix.columns];
        for kernel in kernels() {
            let alone: Vec<u32> = numbers
                .chunks(matrix.columns)
                .flat_map(|row| outputs(kernel, &matrix, Input::Plain(row), 1, &Alone))
                .collect();
            for members in [1, 2, 3, 16] {
                let team = Threads(members);
                let together = outputs(kernel, &matrix, Input::Plain(numbers), rows, &team);
                prop_assert_eq!(&together, &alone);
            }
        }
    }

    #[test]
    fn outputs_are_near_those_of_floats((matrix, rows, numbers) in any_work()) {
        let numbers = &numbers[..rows * matrix.columns];
        let weights = matrix.to_floats().data;
        let found = outputs(Kernel::best(), &matrix, Input::Plain(numbers), rows, &Alone);
        for (row, x) in numbers.chunks(matrix.columns).enumerate() {
            for (output, w) in weights.chunks(matrix.columns).enumerate() {
                let exact: f32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                // Half a step of at most 4/127 for every input.
                let bound: f32 = w.iter().map(|w| w.abs()).sum::<f32>() * 0.016 + 1e-3;
                let found = f32::from_bits(found[row * matrix.rows + output]);
                prop_assert!((found - exact).abs() <= bound, "{found} for {exact}");
            }
        }
    }

    #[test]
    fn a_row_of_the_weights_comes_back(matrix in any_matrix()) {
        let (layout, bytes) = pack(&matrix);
        let packed = Packed::new(&bytes, layout, matrix.columns, matrix.rows).unwrap();
        let mut row = vec![0.0; matrix.columns];
        for (output, expected) in matrix.to_floats().data.chunks(matrix.columns).enumerate() {
            packed.row(output, &mut row);
            prop_assert_eq!(&row[..], expected);
        }
    }

    #[test]
    fn areas_cover_every_output_once(
        inputs in 1..50_usize, outputs in 1..2000_usize, rows in 1..600_usize, members in 1..20_usize,
    ) {
        let bytes = vec![0; Layout::Four.bytes(inputs * BLOCK, outputs).unwrap()];
        let packed = Packed::new(&bytes, Layout::Four, inputs * BLOCK, outputs).unwrap();
        let mut seen = vec![0; rows * packed.groups()];
        for area in areas(&packed, rows, members) {
            for row in area.rows {
                for group in area.groups.clone() {
                    seen[row * packed.groups() + group] += 1;
                }
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
    }
}

#[test]
fn the_largest_codes_do_not_overflow() {
    for (bits, code) in [(Bits::Four, 15), (Bits::Eight, 127), (Bits::Eight, -127)] {
        let matrix = BlockMatrix {
            rows: 8,
            columns: BLOCK,
            bits,
            codes: vec![code; 8 * BLOCK],
            scales: vec![1.0; 8],
            minimums: vec![0.0; 8],
        };
        for x in [1.0, -1.0] {
            let input = [x * 127.0; BLOCK];
            let expected = (32.0 * 127.0 * x * f32::from(code)).to_bits();
            for kernel in kernels() {
                let found = outputs(kernel, &matrix, Input::Plain(&input), 1, &Alone);
                assert_eq!(found, vec![expected; 8]);
            }
        }
    }
}

#[test]
fn an_input_that_is_not_finite_spoils_its_own_row_only() {
    let matrix = BlockMatrix {
        rows: 9,
        columns: 2 * BLOCK,
        bits: Bits::Four,
        codes: vec![3; 9 * 2 * BLOCK],
        scales: vec![0.5; 18],
        minimums: vec![-1.0; 18],
    };
    let mut numbers = vec![1.0; 3 * 64];
    numbers[64 + 40] = f32::INFINITY;
    for kernel in kernels() {
        let found = outputs(kernel, &matrix, Input::Plain(&numbers), 3, &Alone);
        let finite: Vec<bool> = found
            .chunks(9)
            .map(|row| row.iter().all(|bits| f32::from_bits(*bits).is_finite()))
            .collect();
        assert_eq!(finite, [true, false, true]);
        assert!(
            found[9..18]
                .iter()
                .all(|bits| f32::from_bits(*bits).is_nan())
        );
    }
}

#[test]
fn weights_of_another_size_are_refused() {
    assert_eq!(
        Packed::new(&[], Layout::Four, 33, 1).unwrap_err(),
        KernelError::Inputs(33)
    );
    let error = Packed::new(&[0; 100], Layout::Eight, 32, 8).unwrap_err();
    assert!(matches!(
        error,
        KernelError::Size {
            expected: Some(288),
            ..
        }
    ));
}
