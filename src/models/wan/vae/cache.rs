use candle_core::{Result, Tensor};

use crate::models::nn::{Conv3d, With, last_frames};

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

    /// Runs `conv` over the chunk `x` `(B, C, T, H, W)` as if the earlier chunks preceded it; before the first chunk
    /// there are zeros. The result is added to `onto`.
    pub(super) fn convolve(
        &mut self,
        conv: &Conv3d,
        x: &Tensor,
        onto: Option<&Tensor>,
    ) -> Result<Tensor> {
        continued(self.entry(), conv, x, onto)
    }
}

/// As [`Cache::convolve`], with the convolution's entry at hand. The entry keeps the last two
/// frames, which is all a kernel of three frames looks back.
pub(super) fn continued(
    entry: &mut Option<Tensor>,
    conv: &Conv3d,
    x: &Tensor,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    const KEPT: usize = 2;
    let out = conv.forward_with(
        x,
        With {
            earlier: entry.as_ref(),
            onto,
            doubled: false,
        },
    )?;
    let frames = x.dim(2)?;
    // A copy, so that the whole chunk is not kept alive by a view of its end.
    *entry = Some(match entry.as_ref() {
        Some(kept) if frames < KEPT => last_frames(&Tensor::cat(&[kept, x], 2)?, KEPT)?,
        _ => last_frames(x, KEPT)?,
    });
    Ok(out)
}
