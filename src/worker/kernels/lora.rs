//! Plain and slow; the fast kernel takes its place.
use super::*;
use crate::models::peft::{Adapter, Target};
pub(crate) struct LoraBank;
impl LoraBank {
    pub(crate) fn new(_: usize, _: &()) -> Self {
        Self
    }
    pub(crate) fn load(&mut self, _: usize, _: &Adapter) -> Result<(), KernelError> {
        Ok(())
    }
    pub(crate) fn speaks(&self, _: usize, _: Target, _: &[Option<u32>]) -> bool {
        false
    }
    pub(crate) fn add_all(
        &self,
        _: usize,
        _: &[Target],
        _: &[Option<u32>],
        _: &[f32],
        _: &mut [f32],
        _: &dyn Team,
    ) {
    }
}
