//! Plain and slow; the fast kernel takes its place.
use super::*;
#[derive(Clone, Debug)]
pub struct BlockMatrix {
    pub rows: usize,
    pub columns: usize,
    pub codes: Vec<f32>,
    pub scales: Vec<f32>,
    pub minimums: Vec<f32>,
}
impl<R: Read + Seek> Gguf<R> {
    pub fn blocks(&mut self, name: &str) -> Result<BlockMatrix, GgufError> {
        let m = self.matrix(name)?;
        Ok(BlockMatrix {
            rows: m.rows,
            columns: m.columns,
            codes: m.data,
            scales: vec![],
            minimums: vec![],
        })
    }
}
impl BlockMatrix {
    pub fn permuted(&self, order: &[usize]) -> Self {
        let mut codes = vec![];
        for r in order {
            codes.extend_from_slice(&self.codes[r * self.columns..][..self.columns]);
        }
        Self {
            codes,
            ..self.clone()
        }
    }
    pub fn stacked(parts: Vec<Self>) -> Self {
        Self {
            rows: parts.iter().map(|p| p.rows).sum(),
            columns: parts[0].columns,
            codes: parts.into_iter().flat_map(|p| p.codes).collect(),
            scales: vec![],
            minimums: vec![],
        }
    }
}
