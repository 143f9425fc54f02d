/** Walking several row-major tensors in step, as NumPy broadcasting pairs their elements. */
import { broadcastStrides, contiguousStrides, type Shape } from '../shape.ts';

/** Receives the running index in the walked shape and the element of each operand that belongs to it. */
export type BroadcastVisitor = (index: number, a: number, b: number, c: number) => void;

/** Strides of a contiguous tensor of `shape` as seen from `target`; 0 where it repeats. */
export function operandStrides(shape: Shape, target: Shape): number[] {
  return broadcastStrides(shape, contiguousStrides(shape), target);
}

/**
 * Visits every element of `shape` in row-major order.
 *
 * @param operands strides of up to three operands along the axes of `shape` (see `operandStrides`); missing
 *   operands stay at element 0.
 */
export function walkBroadcast(
  shape: Shape,
  operands: readonly (readonly number[])[],
  visit: BroadcastVisitor,
): void {
  if (shape.includes(0)) return;
  const last = shape.length - 1;
  const inner = last < 0 ? 1 : shape[last]!;
  const still = new Array<number>(shape.length).fill(0);
  const [as = still, bs = still, cs = still] = operands;
  const [aStep, bStep, cStep] = last < 0 ? [0, 0, 0] : [as[last]!, bs[last]!, cs[last]!];
  const counter = new Array<number>(shape.length).fill(0);
  let index = 0;
  let [a, b, c] = [0, 0, 0];
  for (;;) {
    for (let j = 0; j < inner; j++) {
      visit(index++, a + j * aStep, b + j * bStep, c + j * cStep);
    }
    // Odometer over the outer axes: step the innermost that still has room, rewind those below it.
    let axis = last - 1;
    for (; axis >= 0; axis--) {
      a += as[axis]!;
      b += bs[axis]!;
      c += cs[axis]!;
      if (++counter[axis]! < shape[axis]!) break;
      a -= as[axis]! * shape[axis]!;
      b -= bs[axis]! * shape[axis]!;
      c -= cs[axis]! * shape[axis]!;
      counter[axis] = 0;
    }
    if (axis < 0) return;
  }
}
