/** Elementwise arithmetic and functions in f32; binary ops read operands of any strides in place. */
import type { GeluAttrs, ClampAttrs } from '../../ops/elementwise.ts';
import type { BinaryAttrs } from '../../ops/binary-op.ts';
import type { TensorLayout } from '../../op.ts';
import { broadcastStrides, contiguousStrides, sizeOf, type Shape } from '../../shape.ts';
import { addressOf, onlyF32, withTemporary, type CpuKernel } from '../context.ts';
import { floatWord } from '../pool.ts';
import { collapse, MAX_WALK_AXES, walkWords, type Loop } from '../walk.ts';
import { wasm } from '../wasm/elementwise.generated.ts';

// The numbers by which wasm/elementwise.ts knows the operations.
const BINARY = { add: 0, sub: 1, mul: 2, div: 3, minimum: 4, maximum: 5 } as const;
const UNARY = {
  ...{ neg: 0, abs: 1, square: 2, sqrt: 3, rsqrt: 4, reciprocal: 5, floor: 6, ceil: 7, round: 8 },
  ...{ relu: 9, exp: 10, tanh: 11, sigmoid: 12, silu: 13, erf: 14, softplus: 19 },
} as const;
const GELU = { none: 15, tanh: 16, quick: 17 } as const;
const CLAMP = 18;

const CHUNK = 4096;
// About 30 microseconds of arithmetic in cache; functions cost several times as much.
const GRAIN_ARITHMETIC = 65_536;
const GRAIN_FUNCTION = 16_384;

interface BinaryPlan {
  readonly operation: number;
  /** Axes of the result with byte strides of a, b and the result. */
  readonly loop: Loop;
  readonly scalar: number | undefined;
  readonly reverse: boolean;
}

function binaryLoop(a: TensorLayout, b: TensorLayout | undefined, out: Shape): Loop {
  const still = out.map(() => 0);
  const strides = [
    broadcastStrides(a.shape, a.strides, out),
    b === undefined ? still : broadcastStrides(b.shape, b.strides, out),
    contiguousStrides(out),
  ];
  const loop = collapse(out, strides);
  return {
    shape: loop.shape,
    strides: loop.strides.map((own) => own.map((stride) => stride * 4)),
  };
}

function binaryKernel(op: keyof typeof BINARY): CpuKernel<BinaryAttrs, BinaryPlan> {
  return {
    op,
    supports({ inputs: [a, b], outputs }) {
      const { shape } = binaryLoop(a!, b, outputs[0]!.shape);
      if (shape.length > MAX_WALK_AXES) return `more than ${MAX_WALK_AXES} separate axes`;
      return onlyF32([a]);
    },
    acceptsStrides: () => true,
    prepare({ inputs: [a, b], outputs, attrs }) {
      const loop = binaryLoop(a!, b, outputs[0]!.shape);
      const { scalar, reverse = false } = attrs;
      return { operation: BINARY[op], loop, scalar, reverse };
    },
    run({ operation, loop, scalar, reverse }, [a, b], [out], context) {
      const inner = loop.shape.length - 1;
      const extent = loop.shape[inner]!;
      const chunk = Math.min(extent, CHUNK);
      const rows = sizeOf(loop.shape) / extent;
      const [left, right, result] = loop.strides as [number[], number[], number[]];
      const target = addressOf(out!, 'f32');
      const start = (x: number, y: number): void => {
        const [first, second] = reverse ? [y, x] : [x, y];
        const strides = reverse ? [right, left, result] : [left, right, result];
        const words = [
          ...[first, second, target, operation, extent, strides[0]![inner]!],
          ...[
            strides[1]![inner]!,
            chunk,
            rows,
            ...walkWords({ shape: loop.shape, strides }, inner),
          ],
        ];
        const items = rows * Math.ceil(extent / chunk);
        context.pool.run(wasm, 'binary', words, items, GRAIN_ARITHMETIC / chunk);
      };
      const x = addressOf(a!, 'f32');
      if (b !== undefined) {
        start(x, addressOf(b, 'f32'));
        return;
      }
      withTemporary(context, 4, (y) => {
        new Float32Array(context.memory.buffer, y, 1)[0] = scalar!;
        start(x, y);
      });
    },
  };
}

interface UnaryPlan {
  readonly operation: number;
  readonly count: number;
  readonly grain: number;
  readonly low: number;
  readonly high: number;
}

function unaryKernel<Attrs extends object>(
  op: string,
  plan: (attrs: Attrs) => Pick<UnaryPlan, 'operation'> & Partial<UnaryPlan>,
): CpuKernel<Attrs, UnaryPlan> {
  return {
    op,
    supports: ({ inputs }) => onlyF32(inputs),
    prepare({ inputs, attrs }) {
      const chosen = plan(attrs);
      const grain = chosen.operation < UNARY.exp ? GRAIN_ARITHMETIC : GRAIN_FUNCTION;
      return { count: sizeOf(inputs[0]!.shape), grain, low: 0, high: 0, ...chosen };
    },
    run({ operation, count, grain, low, high }, [x], [out], context) {
      const words = [
        ...[addressOf(x!, 'f32'), addressOf(out!, 'f32'), operation, count, CHUNK],
        ...[floatWord(low), floatWord(high)],
      ];
      context.pool.run(wasm, 'unary', words, Math.ceil(count / CHUNK), grain / CHUNK);
    },
  };
}

export const geluKernel: CpuKernel<GeluAttrs, UnaryPlan> = unaryKernel(
  'gelu',
  ({ approximate }) => ({ operation: GELU[approximate] }),
);

export const clampKernel: CpuKernel<ClampAttrs, UnaryPlan> = unaryKernel(
  'clamp',
  ({ min = -Infinity, max = Infinity }) => ({ operation: CLAMP, low: min, high: max }),
);

export const BINARY_KERNELS: readonly CpuKernel<BinaryAttrs, BinaryPlan>[] = (
  Object.keys(BINARY) as (keyof typeof BINARY)[]
).map(binaryKernel);

export const UNARY_KERNELS: readonly CpuKernel<object, UnaryPlan>[] = Object.entries(UNARY).map(
  ([op, operation]) => unaryKernel(op, () => ({ operation })),
);
