//! Plain and slow; the fast kernel takes its place.
use super::{kv::KvStore, rotary::Rotary, *};
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) position: u32,
}
pub(crate) struct QkNorms;
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: f32,
    pub(crate) window: Option<usize>,
    pub(crate) norms: Option<QkNorms>,
}
pub(crate) fn attend(
    h: &Heads,
    r: &Rotary,
    store: &KvStore,
    layer: usize,
    places: &[Place],
    qkv: &[f32],
    out: &mut [f32],
    _: &dyn Team,
) {
    let d = h.head_dim;
    let w = (h.heads + 2 * h.kv_heads) * d;
    let rot = |x: &mut [f32], p: u32| {
        for i in 0..d / 2 {
            let a = p as f64 * (r.base as f64).powf(-2.0 * i as f64 / d as f64);
            let (s, c) = (a.sin() as f32, a.cos() as f32);
            let (u, v) = (x[i], x[i + d / 2]);
            x[i] = u * c - v * s;
            x[i + d / 2] = u * s + v * c;
        }
    };
    let mut m = store.k.lock().unwrap();
    for (t, p) in places.iter().enumerate() {
        let row = &qkv[t * w..][..w];
        let mut k = row[h.heads * d..][..h.kv_heads * d].to_vec();
        for hd in k.chunks_mut(d) {
            rot(hd, p.position);
        }
        m.insert(
            (layer, p.slot, p.position),
            (k, row[(h.heads + h.kv_heads) * d..].to_vec()),
        );
    }
    for (t, p) in places.iter().enumerate() {
        let mut q = qkv[t * w..][..h.heads * d].to_vec();
        for hd in q.chunks_mut(d) {
            rot(hd, p.position);
        }
        for hd in 0..h.heads {
            let g = hd / (h.heads / h.kv_heads);
            let kv: Vec<_> = (0..=p.position).map(|j| &m[&(layer, p.slot, j)]).collect();
            let s: Vec<f32> = kv
                .iter()
                .map(|(k, _)| {
                    h.scale
                        * q[hd * d..][..d]
                            .iter()
                            .zip(&k[g * d..][..d])
                            .map(|(a, b)| a * b)
                            .sum::<f32>()
                })
                .collect();
            let mx = s.iter().copied().fold(f32::MIN, f32::max);
            let e: Vec<f32> = s.iter().map(|x| (x - mx).exp()).collect();
            let z: f32 = e.iter().sum();
            for i in 0..d {
                out[t * h.heads * d + hd * d + i] = kv
                    .iter()
                    .zip(&e)
                    .map(|((_, v), e)| v[g * d + i] * e)
                    .sum::<f32>()
                    / z;
            }
        }
    }
}
