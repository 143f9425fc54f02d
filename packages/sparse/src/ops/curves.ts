/** Space-filling curves: the place of a voxel along a z-order or Hilbert curve. */
import { executeOne, InputError, type Op, type Tensor } from '@pergola/core';
import { checkCoords, checkTriple, triple, type Triple } from './checks.ts';
import { curveCodesKernel } from '../cpu/coords.ts';

/** The four orders; `-transposed` swaps the roles of x and y. */
export type CurveOrder = 'z' | 'z-transposed' | 'hilbert' | 'hilbert-transposed';

export const CURVE_ORDERS: readonly CurveOrder[] = [
  'z',
  'z-transposed',
  'hilbert',
  'hilbert-transposed',
];

/** Attributes of `curveCodes`. */
export interface CurveCodesAttrs {
  readonly order: CurveOrder;
  /** Bits per axis, 1 to 10. */
  readonly bits: number;
  /** Added to x, y, z. */
  readonly shift: Triple;
}

export const CURVE_CODES_DEFAULTS: Omit<CurveCodesAttrs, 'order'> = { bits: 10, shift: [0, 0, 0] };

/** Bits of three numbers interleaved, the first one's highest bit on top. */
function interleave(a: number, b: number, c: number, bits: number): number {
  let code = 0;
  for (let bit = bits - 1; bit >= 0; bit--) {
    code = (code << 3) | (((a >> bit) & 1) << 2) | (((b >> bit) & 1) << 1) | ((c >> bit) & 1);
  }
  return code;
}

/** Hilbert index of a point: axes to transposed index in place, then interleaved (Skilling, 2004). */
function hilbertCode(point: [number, number, number], bits: number): number {
  for (let bit = bits - 1; bit >= 1; bit--) {
    const low = (1 << bit) - 1;
    for (let axis = 0; axis < 3; axis++) {
      if (((point[axis]! >> bit) & 1) === 1) {
        point[0] ^= low;
      } else {
        const swap = (point[0] ^ point[axis]!) & low;
        point[0] ^= swap;
        point[axis]! ^= swap;
      }
    }
  }
  // Gray code.
  point[1] ^= point[0];
  point[2] ^= point[1];
  let flip = 0;
  for (let bit = bits - 1; bit >= 1; bit--) {
    if (((point[2] >> bit) & 1) === 1) flip ^= (1 << bit) - 1;
  }
  return interleave(point[0] ^ flip, point[1] ^ flip, point[2] ^ flip, bits);
}

export const curveCodesOp: Op<CurveCodesAttrs> = {
  name: 'curveCodes',
  family: 'coords',
  inputs: [{ name: 'coords', dtypes: ['i32'], rank: 2 }],
  infer([coords], { order, bits, shift }) {
    checkCoords('curveCodes', 'coords', coords!.shape);
    if (!CURVE_ORDERS.includes(order)) {
      throw new InputError(`curveCodes: order must be ${CURVE_ORDERS.join(', ')}, got ${order}.`);
    }
    if (!Number.isInteger(bits) || bits < 1 || bits > 10) {
      throw new InputError(`curveCodes: bits must be an integer from 1 to 10, got ${bits}.`);
    }
    checkTriple('curveCodes', 'shift', shift, -65536, 65536);
    return [{ dtype: 'i32', shape: [coords!.shape[0]!] }];
  },
  reference([coords], { order, bits, shift }, [out]) {
    const mask = (1 << bits) - 1;
    for (let row = 0; row < out!.data.length; row++) {
      const x = (coords!.data[row * 4 + 1]! + shift[0]) & mask;
      const y = (coords!.data[row * 4 + 2]! + shift[1]) & mask;
      const z = (coords!.data[row * 4 + 3]! + shift[2]) & mask;
      const [a, b] = order.endsWith('transposed') ? [y, x] : [x, y];
      out!.data[row] = order.startsWith('z')
        ? interleave(a, b, z, bits)
        : hilbertCode([a, b, z], bits);
    }
  },
  kernels: { cpu: curveCodesKernel },
};

/**
 * Place of every voxel along a space-filling curve.
 *
 * @param coords i32 `[N, 4]`; `xyz + shift` is taken modulo `2^bits`.
 * @param options `order`; `bits` 10; `shift` 0.
 * @returns i32 `[N]`, 0 to `8^bits - 1`. The batch column is not part of it.
 * @throws ShapeError, DTypeError, InputError.
 * @see Skilling, Programming the Hilbert curve, AIP Conf. Proc. 707 (2004)
 */
export function curveCodes(
  coords: Tensor,
  options: {
    readonly order: CurveOrder;
    readonly bits?: number;
    readonly shift?: number | Triple;
  },
): Tensor {
  return executeOne(curveCodesOp, [coords], {
    order: options.order,
    bits: options.bits ?? CURVE_CODES_DEFAULTS.bits,
    shift: triple(options.shift ?? 0),
  });
}
