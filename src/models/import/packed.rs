//! Plain and slow; the fast kernel takes its place.
use crate::models::gguf::BlockMatrix;
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Eight,
}
impl Layout {
    pub fn code(self) -> i64 {
        8
    }
    pub fn from_code(_: i64) -> Option<Self> {
        Some(Self::Eight)
    }
}
pub fn pack(m: &BlockMatrix) -> (Layout, Vec<u8>) {
    (
        Layout::Eight,
        m.codes.iter().flat_map(|v| v.to_le_bytes()).collect(),
    )
}
