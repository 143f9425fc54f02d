/** Scaled dot-product attention over packed sequences of different lengths. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import { InputError, ShapeError } from '../errors.ts';
import { commonDType, shapeMismatch, type Op } from '../op.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, mul, sub } from './arithmetic.ts';
import { greaterEqual, lessEqual, logicalAnd } from './comparison.ts';
import { trafficBytes } from './cost.ts';
import { arange, full } from './create.ts';
import { where } from './elementwise.ts';
import { gather } from './gather.ts';
import { matmul } from './matmul.ts';
import { elementOfRow, rowsOfElement } from './packed-rows.ts';
import { softmax } from './softmax.ts';
import { narrow, widen } from './widen.ts';

/** Attributes of `attention`. */
export interface AttentionAttrs {
  /** At least the length of the longest query sequence. */
  readonly maxQ: number;
  /** At least the length of the longest key sequence. */
  readonly maxK: number;
  /** Query `i` of a sequence sees keys `j <= i` only. */
  readonly causal: boolean;
  /** Factor of the dot products. */
  readonly scale: number;
}

/** `scale` defaults to `1 / sqrt(D)`. */
export const ATTENTION_DEFAULTS: Pick<AttentionAttrs, 'causal'> = { causal: false };

/** Largest head dimension that kernels must handle. */
export const MAX_HEAD_DIMENSION = 128;

function checkLength(name: string, length: number): void {
  if (!Number.isInteger(length) || length < 0) {
    throw new InputError(`attention: ${name} must be an integer of at least 0, got ${length}.`);
  }
}

type AttentionInputs = [q: Tensor, k: Tensor, v: Tensor, offsetsQ: Tensor, offsetsK: Tensor];

/** Attention from simpler ops: every sequence is padded to the longest, and all scores are in memory at once. */
function paddedAttention(
  [q, k, v, offsetsQ, offsetsK]: AttentionInputs,
  { maxQ, maxK, causal, scale }: AttentionAttrs,
): Tensor {
  const { device, dtype } = q;
  const [rows, heads, depth] = q.shape as [number, number, number];
  const sequences = offsetsQ.shape[0]! - 1;
  if (sequences * maxQ * maxK === 0) return full(device, q.shape, 0, dtype);
  const rowsQ = rowsOfElement(offsetsQ, maxQ).reshape(-1);
  const rowsK = rowsOfElement(offsetsK, maxK);
  const padded = (x: Tensor, index: Tensor): Tensor =>
    widen(gather(x, index)).reshape(sequences, -1, heads, depth).permute(0, 2, 1, 3);
  const keys = padded(k, rowsK.reshape(-1));
  const values = padded(v, rowsK.reshape(-1));
  const scores = mul(matmul(padded(q, rowsQ), keys.transpose()), scale);
  let visible = greaterEqual(rowsK, 0).reshape(sequences, 1, 1, maxK);
  if (causal) {
    const past = lessEqual(arange(device, maxK).unsqueeze(0), arange(device, maxQ).unsqueeze(1));
    visible = logicalAnd(visible, past);
  }
  const masked = where(visible, scores, full(device, [], -Infinity));
  // A row without keys is NaN after the softmax, and zero again after the second mask.
  const weights = where(visible, softmax(masked), full(device, [], 0));
  const mixed = matmul(weights, values).permute(0, 2, 1, 3).reshape(-1, heads, depth);
  // Back to packed rows: row r of sequence s was put at s * maxQ + (r - start of s).
  const sequence = elementOfRow(offsetsQ, rows);
  const position = sub(arange(device, rows), gather(offsetsQ, sequence));
  return narrow(gather(mixed, add(mul(sequence, maxQ), position)), dtype);
}

export const attentionOp: Op<AttentionAttrs> = {
  name: 'attention',
  family: 'attention',
  inputs: [
    { name: 'q', dtypes: FLOAT_DTYPES, rank: 3 },
    { name: 'k', dtypes: FLOAT_DTYPES, rank: 3 },
    { name: 'v', dtypes: FLOAT_DTYPES, rank: 3 },
    { name: 'offsetsQ', dtypes: ['i32'], rank: 1 },
    { name: 'offsetsK', dtypes: ['i32'], rank: 1 },
  ],
  infer([q, k, v, offsetsQ, offsetsK], { maxQ, maxK, scale }) {
    const dtype = commonDType(attentionOp, [q, k, v], 0, 1, 2);
    const [, heads, depth] = q!.shape as [number, number, number];
    if (depth < 1 || depth > MAX_HEAD_DIMENSION) {
      throw new ShapeError(
        `attention: the last axis of q must be 1 to ${MAX_HEAD_DIMENSION}, got ${formatShape(q!.shape)}.`,
      );
    }
    const keys = k!.shape[0]!;
    if (k!.shape[1] !== heads || k!.shape[2] !== depth) {
      throw shapeMismatch('attention', 'k', `[Nk, ${heads}, ${depth}] (heads of q)`, k!.shape);
    }
    if (v!.shape[0] !== keys || v!.shape[1] !== heads || v!.shape[2] !== depth) {
      throw shapeMismatch('attention', 'v', `${formatShape(k!.shape)} (shape of k)`, v!.shape);
    }
    if (offsetsQ!.shape[0]! < 1) {
      throw shapeMismatch('attention', 'offsetsQ', '[S + 1]', offsetsQ!.shape);
    }
    if (offsetsK!.shape[0] !== offsetsQ!.shape[0]) {
      const expected = `${formatShape(offsetsQ!.shape)} (shape of offsetsQ)`;
      throw shapeMismatch('attention', 'offsetsK', expected, offsetsK!.shape);
    }
    checkLength('maxQ', maxQ);
    checkLength('maxK', maxK);
    if (!Number.isFinite(scale)) {
      throw new InputError(`attention: scale must be a finite number, got ${scale}.`);
    }
    return [{ dtype, shape: q!.shape }];
  },
  reference([q, k, v, offsetsQ, offsetsK], { maxK, causal, scale }, [out]) {
    const [, heads, depth] = q!.shape as [number, number, number];
    const sequences = offsetsQ!.shape[0]! - 1;
    const [qs, ks, vs] = [q!.data, k!.data, v!.data];
    const weights = new Float64Array(maxK);
    const mixed = new Float64Array(depth);
    out!.data.fill(0);
    for (let s = 0; s < sequences; s++) {
      const firstKey = offsetsK!.data[s]!;
      const keyCount = offsetsK!.data[s + 1]! - firstKey;
      for (let row = offsetsQ!.data[s]!; row < offsetsQ!.data[s + 1]!; row++) {
        const position = row - offsetsQ!.data[s]!;
        const visible = causal ? Math.min(keyCount, position + 1) : keyCount;
        for (let head = 0; head < heads; head++) {
          const query = (row * heads + head) * depth;
          let highest = -Infinity;
          for (let j = 0; j < visible; j++) {
            const key = ((firstKey + j) * heads + head) * depth;
            let dot = 0;
            for (let d = 0; d < depth; d++) dot += qs[query + d]! * ks[key + d]!;
            weights[j] = dot * scale;
            highest = Math.max(highest, weights[j]!);
          }
          let total = 0;
          mixed.fill(0);
          for (let j = 0; j < visible; j++) {
            const weight = Math.exp(weights[j]! - highest);
            const value = ((firstKey + j) * heads + head) * depth;
            total += weight;
            for (let d = 0; d < depth; d++) mixed[d]! += weight * vs[value + d]!;
          }
          // A row without keys keeps its zeros.
          if (visible > 0) {
            for (let d = 0; d < depth; d++) out!.data[query + d] = mixed[d]! / total;
          }
        }
      }
    }
  },
  decompose(inputs, attrs) {
    return [paddedAttention(inputs as AttentionInputs, attrs)];
  },
  cost(inputs, { maxK, causal }, outputs) {
    const [rows, heads, depth] = inputs[0]!.shape as [number, number, number];
    const sequences = inputs[3]!.shape[0]! - 1;
    // Lengths live on the device: rows see the mean sequence, or maxK when that is shorter.
    const keys = Math.min(maxK, inputs[1]!.shape[0]! / Math.max(1, sequences));
    const flops = rows * heads * keys * (4 * depth + 4) * (causal ? 0.5 : 1);
    return { flops, bytes: trafficBytes(inputs, outputs) };
  },
};

/** Sequences, masking and scaling of an `attention` call. */
export interface AttentionOptions extends Partial<Pick<AttentionAttrs, 'causal' | 'scale'>> {
  /** i32 `[S + 1]`, ascending from 0 to Nq: sequence `s` holds rows `offsetsQ[s]` to `offsetsQ[s + 1]` of q. */
  readonly offsetsQ: Tensor;
  /** i32 `[S + 1]`, ascending from 0 to Nk, likewise for k and v. */
  readonly offsetsK: Tensor;
  /** At least the length of the longest query sequence. */
  readonly maxQ: number;
  /** At least the length of the longest key sequence. */
  readonly maxK: number;
}

/**
 * Softmax attention, `softmax(scale q k^T) v`, inside each of S packed sequences. Softmax and sums in f32 or better.
 *
 * Queries of sequence `s` see the keys of sequence `s`. Sequences may be empty; queries without keys give zeros.
 * q, k and v may be strided views (for example of a fused `[N, 3, H, D]` projection).
 *
 * @param q `[Nq, H, D]` float, `1 <= D <= 128`.
 * @param k `[Nk, H, D]`, the dtype of q.
 * @param v `[Nk, H, D]`, the dtype of q.
 * @param options sequences as described above; `causal` (default false) lets query `i` see keys `j <= i` of its
 *   sequence; `scale` defaults to `1 / sqrt(D)`.
 * @returns `[Nq, H, D]` of the dtype of q.
 * @throws ShapeError, DTypeError, InputError.
 * @see Vaswani et al., Attention Is All You Need, arXiv 1706.03762
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { offsetsQ, offsetsK, maxQ, maxK } = options;
  return executeOne(attentionOp, [q, k, v, offsetsQ, offsetsK], {
    maxQ,
    maxK,
    causal: options.causal ?? ATTENTION_DEFAULTS.causal,
    scale: options.scale ?? 1 / Math.sqrt(q.shape[q.rank - 1] ?? 1),
  });
}
