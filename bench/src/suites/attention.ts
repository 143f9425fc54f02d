/** Softmax attention over one sequence. */
import { attention, attentionOp, type Device } from '@pergola/core';
import { deviceContender, fillUniform, referenceContender } from '../contenders.ts';
import { onnxContender } from '../onnx-contender.ts';
import type { Workload } from '../runner.ts';

/** `heads` heads of size `dim`, `tokens` queries and keys. */
export function attentionWorkload(
  heads: number,
  tokens: number,
  dim: number,
  devices: Readonly<Record<string, Device>>,
): Workload {
  const shape = [tokens, heads, dim];
  const size = tokens * heads * dim;
  const attrs = { maxQ: tokens, maxK: tokens, causal: false, scale: 1 / Math.sqrt(dim) };
  const offsets = Int32Array.of(0, tokens);
  return {
    name: `attention f32 ${heads} heads x ${tokens} x ${dim}`,
    flops: 4 * heads * tokens * tokens * dim,
    async contenders() {
      const list = Object.entries(devices).map(([name, device]) => {
        const [q, k, v] = [0, 1, 2].map(() => device.tensor(fillUniform(size), shape)) as never as [
          ReturnType<Device['tensor']>,
          ReturnType<Device['tensor']>,
          ReturnType<Device['tensor']>,
        ];
        const rows = device.tensor(offsets, [2]);
        return deviceContender(name, device, [q, k, v, rows], () =>
          attention(q, k, v, { offsetsQ: rows, offsetsK: rows, maxQ: tokens, maxK: tokens }),
        );
      });
      const spec = { dtype: 'f32', shape } as const;
      const rows = { dtype: 'i32', shape: [2], data: offsets } as const;
      const headed = { shape: [heads, tokens, dim] };
      list.push(
        referenceContender(attentionOp, [spec, spec, spec, rows, rows], attrs),
        await onnxContender(
          'onnxruntime-web, 1 thread',
          [
            { op: 'MatMul', inputs: ['q', 'kt'], outputs: ['scores'] },
            { op: 'Softmax', inputs: ['scores'], outputs: ['weights'] },
            { op: 'MatMul', inputs: ['weights', 'v'], outputs: ['out'] },
          ],
          [
            { name: 'q', ...headed },
            { name: 'kt', shape: [heads, dim, tokens] },
            { name: 'v', ...headed },
          ],
          { name: 'out', ...headed },
          fillUniform,
        ),
      );
      return list;
    },
  };
}
