//! PURE: a library that was built for Python, made loadable without it.
//!
//! The package that carries Pico is an extension of Python's, and the system's loader refuses a
//! library whose names nobody defines. A name that is *weak* may be undefined (System V ABI,
//! gABI, "Symbol Table"): it is then null, and only Python's own entry point would use it.

/// Of an ELF file of 64 bits, little-endian: where the header says what.
const SECTIONS_AT: usize = 0x28;
const SECTION_SIZE_AT: usize = 0x3a;
const SECTION_COUNT_AT: usize = 0x3c;

/// A section header's kind for symbols that are linked when a library is loaded.
const DYNAMIC_SYMBOLS: u32 = 11;

/// Bytes of a symbol: name (4), binding and kind (1), visibility (1), section (2), and more.
const SYMBOL: usize = 24;

/// A symbol's binding is the upper half of its byte.
const WEAK: u8 = 2 << 4;

/// Makes every name of Python's that the library wants weak. Gives how many there are; none
/// where this is no library of the kind that is expected.
pub(super) fn without_python(library: &mut [u8]) -> Option<usize> {
    if library.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = long(library, SECTIONS_AT)?;
    let size = usize::from(short(library, SECTION_SIZE_AT)?);
    let count = usize::from(short(library, SECTION_COUNT_AT)?);
    let section = |index: usize| table.checked_add(index.checked_mul(size)?);
    let symbols = (0..count)
        .filter_map(section)
        .find(|at| at.checked_add(4).and_then(|at| word(library, at)) == Some(DYNAMIC_SYMBOLS))?;
    let names = section(usize::try_from(word(library, symbols + 0x28)?).ok()?)?;
    let names = long(library, names.checked_add(0x18)?)?;
    let first = long(library, symbols + 0x18)?;
    let length = long(library, symbols + 0x20)?;
    let mut wanted = 0;
    for at in (first..first.checked_add(length)?).step_by(SYMBOL) {
        let name = names.checked_add(usize::try_from(word(library, at)?).ok()?)?;
        let name = library.get(name..)?;
        let python = name.starts_with(b"Py") || name.starts_with(b"_Py");
        if python && short(library, at.checked_add(6)?)? == 0 {
            library[at + 4] = WEAK | (library[at + 4] & 0x0f);
            wanted += 1;
        }
    }
    Some(wanted)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A library with symbols of these names, each with the number of its section.
    fn library(symbols: &[(&str, u16)]) -> Vec<u8> {
        let mut names = vec![0_u8];
        let mut table = Vec::new();
        for (name, section) in symbols {
            table.extend((names.len() as u32).to_le_bytes());
            table.extend([0x12, 0]);
            table.extend(section.to_le_bytes());
            table.extend([0; 16]);
            names.extend(name.as_bytes());
            names.push(0);
        }
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0);
        let (symbols_at, length) = (file.len(), table.len());
        file.extend(table);
        let names_at = file.len();
        file.extend(names);
        let sections_at = file.len();
        for (kind, at, length, link) in [(3, names_at, 0, 0), (11, symbols_at, length, 0)] {
            let mut header = [0; 64];
            header[4..8].copy_from_slice(&u32::to_le_bytes(kind));
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(length as u64).to_le_bytes());
            header[0x28..0x2c].copy_from_slice(&u32::to_le_bytes(link));
            file.extend(header);
        }
        file[SECTIONS_AT..SECTIONS_AT + 8].copy_from_slice(&(sections_at as u64).to_le_bytes());
        file[SECTION_SIZE_AT..SECTION_SIZE_AT + 2].copy_from_slice(&64_u16.to_le_bytes());
        file[SECTION_COUNT_AT..SECTION_COUNT_AT + 2].copy_from_slice(&2_u16.to_le_bytes());
        file
    }

    #[test]
    fn only_what_python_would_give_need_not_be_there() {
        let mut file = library(&[
            ("PyExc_ValueError", 0),
            ("_Py_NoneStruct", 0),
            ("malloc", 0),
            ("PyInit__nanotts", 7),
        ]);
        assert_eq!(without_python(&mut file), Some(2));
        let bindings: Vec<u8> = (0..4).map(|at| file[64 + at * SYMBOL + 4] >> 4).collect();
        assert_eq!(bindings, [2, 2, 1, 1]);
    }

    proptest! {
        #[test]
        fn a_damaged_library_is_told_and_never_a_crash(
            at in 0usize..300,
            byte: u8,
            length in 0usize..300,
        ) {
            let mut file = library(&[("PyErr_Format", 0), ("pico_initialize", 3)]);
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(length);
            let before = file.len();
            without_python(&mut file);
            prop_assert_eq!(file.len(), before);
        }
    }
}
