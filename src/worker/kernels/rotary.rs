//! Plain and slow; the fast kernel takes its place.
pub(crate) struct Rotary {
    pub d: usize,
    pub base: f32,
}
impl Rotary {
    pub(crate) fn new(d: usize, base: f32, _: Option<&[f32]>, _: f32, _: usize) -> Self {
        Self { d, base }
    }
}
