use candle_core::{Result, Tensor};

use crate::models::nn::Conv3d;

/// The frames that causal convolutions remember from the chunks before, one entry a convolution
/// in the order in which they run.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Option<Tensor>>,
    next: usize,
}

impl Cache {
    /// Starts the next chunk at the first convolution.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The entry of the convolution that runs next.
    pub(super) fn entry(&mut self) -> &mut Option<Tensor> {
        let index = self.next;
        self.next += 1;
        if self.entries.len() <= index {
            self.entries.resize(index + 1, None);
        }
        &mut self.entries[index]
    }

    /// Runs `conv` over the chunk `x` `(B, C, T, H, W)` as if the earlier chunks preceded it;
    /// before the first chunk there are zeros.
    pub(super) fn convolve(&mut self, conv: &Conv3d, x: &Tensor) -> Result<Tensor> {
        continued(self.entry(), conv, x)
    }
}

/// As [`Cache::convolve`], with the convolution's entry at hand. The entry keeps the last two
/// frames, which is all a kernel of three frames looks back.
pub(super) fn continued(entry: &mut Option<Tensor>, conv: &Conv3d, x: &Tensor) -> Result<Tensor> {
    const KEPT: usize = 2;
    let (joined, earlier) = match entry.as_ref() {
        Some(kept) => (Tensor::cat(&[kept, x], 2)?, kept.dim(2)?),
        None => (x.clone(), 0),
    };
    let out = conv.forward(&joined, earlier)?;
    let frames = joined.dim(2)?;
    let kept = frames.min(KEPT);
    // A copy, so that the whole chunk is not kept alive by a view of its end.
    *entry = Some(joined.narrow(2, frames - kept, kept)?.force_contiguous()?);
    Ok(out)
}
