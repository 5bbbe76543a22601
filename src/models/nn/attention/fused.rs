use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::super::cpu;
use super::super::product::integers::Instructions;
use super::head::{Buffers, Head, QUERIES};
use super::integers::{self, IntegerHead};

/// Tasks that each thread gets at least, where there are queries enough.
const TASKS_A_THREAD: usize = 2;

/// Softmax attention on the CPU, in f32: see [`attention`](super::attention) and
/// [`attention_by_distance`](super::attention_by_distance), whose bias is added before `scale` multiplies. Products are made
/// in `integers` where a processor has the instructions and there is no bias.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
    bias: Option<&Tensor>,
    integers: bool,
) -> Result<Tensor> {
    let op = Fused {
        integers: integers.then(Instructions::best).flatten(),
        scale: scale as f32,
        bias: bias.map(Tensor::contiguous).transpose()?,
    };
    q.contiguous()?
        .apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op)
}

struct Fused {
    scale: f32,
    /// What products of integers are made with, where they are to be.
    integers: Option<Instructions>,
    /// `(heads, queries + keys - 1)`.
    bias: Option<Tensor>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
    static INTEGERS: RefCell<integers::Buffers> = RefCell::default();
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, queries, heads, dim) = q_layout.shape().dims4()?;
        let keys = k_layout.shape().dims4()?.1;
        if k_layout.dims() != [batch, keys, heads, dim] || k_layout.dims() != v_layout.dims() {
            bail!(
                "attention was given queries {:?}, keys {:?}, values {:?}",
                q_layout.shape(),
                k_layout.shape(),
                v_layout.shape()
            );
        }
        let bias = self.bias.as_ref().map(Tensor::storage_and_layout);
        let bias = match &bias {
            None => None,
            Some((storage, layout)) => match &**storage {
                Storage::Cpu(storage)
                    if layout.dims() == [heads, (queries + keys).saturating_sub(1)] =>
                {
                    Some(cpu::slice(storage, layout)?)
                }
                _ => bail!(
                    "attention of {heads} heads, {keys} keys and {queries} queries was given a bias {:?}",
                    layout.shape()
                ),
            },
        };
        let q = cpu::slice(q, q_layout)?;
        let k = cpu::slice(k, k_layout)?;
        let v = cpu::slice(v, v_layout)?;
        #[cfg(test)]
        cpu::counting::add(2 * batch * heads * queries * keys * dim);
        // Where there are few heads, queries are shared out as well, which costs a second packing of the keys.
        let blocks = queries.div_ceil(QUERIES);
        let groups = (TASKS_A_THREAD * rayon::current_num_threads())
            .div_ceil((batch * heads).max(1))
            .clamp(1, blocks.max(1));
        let step = heads * dim;
        // SAFETY: the tasks are all queries of all heads, and `write` gives each its whole row of the head.
        let out = unsafe {
            cpu::written(q.len(), |out| {
                (0..batch * heads * groups)
                    .into_par_iter()
                    .for_each(|task| {
                        let (b, head, group) = (
                            task / (heads * groups),
                            task / groups % heads,
                            task % groups,
                        );
                        let first = group * blocks / groups * QUERIES;
                        let last = ((group + 1) * blocks / groups * QUERIES).min(queries);
                        let at = (b * queries + first) * step + head * dim;
                        let seen = b * keys * step + head * dim;
                        let head = Head {
                            queries: &q[at.min(q.len())..],
                            keys: &k[seen.min(k.len())..],
                            values: &v[seen.min(v.len())..],
                            bias: bias.map(|bias| &bias[head * (queries + keys - 1) + first..]),
                            counts: (last - first, keys),
                            dim,
                            step,
                            scale: self.scale,
                        };
                        let starts = (0..last - first).step_by(QUERIES);
                        match self.integers {
                            None => BUFFERS.with_borrow_mut(|buffers| {
                                head.pack(buffers);
                                for start in starts {
                                    head.attend(start, buffers);
                                    head.write(start, out, at + start * step, buffers);
                                }
                            }),
                            Some(instructions) => INTEGERS.with_borrow_mut(|buffers| {
                                let head = IntegerHead { head, instructions };
                                head.pack(buffers);
                                for start in starts {
                                    head.attend(start, buffers);
                                    head.write(start, out, at + start * step, buffers);
                                }
                            }),
                        }
                    });
            })
        };
        cpu::output(out, q_layout.shape())
    }
}
