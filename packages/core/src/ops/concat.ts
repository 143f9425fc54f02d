/** Joining tensors along an axis. */
import { executeOne } from '../device.ts';
import { DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import { commonDType, shapeMismatch, type Op } from '../op.ts';
import { formatShape, resolveAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkAxis, splitAtAxis } from './axis-split.ts';

/** Attributes of `concat`. */
export interface ConcatAttrs {
  /** Axis that grows; not negative. */
  readonly axis: number;
}

export const CONCAT_DEFAULTS: ConcatAttrs = { axis: 0 };

export const concatOp: Op<ConcatAttrs> = {
  name: 'concat',
  family: 'index',
  inputs: [{ name: 'tensors', dtypes: DTYPES, rank: [1, 8], variadic: true }],
  infer(tensors, { axis }) {
    const first = tensors[0]!;
    checkAxis('concat', axis, first.shape.length);
    const dtype = commonDType(concatOp, tensors);
    const shape = [...first.shape];
    shape[axis] = 0;
    tensors.forEach((tensor, i) => {
      const other = tensor!.shape;
      if (
        other.length !== shape.length ||
        other.some((extent, a) => a !== axis && extent !== shape[a])
      ) {
        const expected = `${formatShape(first.shape)} outside axis ${axis}`;
        throw shapeMismatch('concat', `tensors[${i}]`, expected, other);
      }
      shape[axis]! += other[axis]!;
    });
    return [{ dtype, shape }];
  },
  reference(tensors, { axis }, [out]) {
    const { outer, extent, inner } = splitAtAxis(out!.shape, axis);
    let start = 0;
    for (const tensor of tensors) {
      const block = tensor!.shape[axis]! * inner;
      for (let o = 0; o < outer; o++) {
        const rows = tensor!.data.subarray(o * block, (o + 1) * block);
        out!.data.set(rows, o * extent * inner + start);
      }
      start += block;
    }
  },
};

/**
 * Joins tensors along one axis.
 *
 * @param tensors at least one; equal dtypes, ranks and extents outside `axis`; any dtype.
 * @param options `axis`, default 0; may be negative.
 * @returns a tensor whose extent along `axis` is the sum of theirs.
 * @throws InputError when the list is empty; ShapeError, DTypeError.
 */
export function concat(tensors: readonly Tensor[], options: Partial<ConcatAttrs> = {}): Tensor {
  if (tensors.length === 0) {
    throw new InputError('concat: tensors must hold at least one tensor, got none.');
  }
  const axis = resolveAxis('concat', options.axis ?? CONCAT_DEFAULTS.axis, tensors[0]!.rank);
  return executeOne(concatOp, tensors, { axis });
}
