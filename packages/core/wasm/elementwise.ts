// Elementwise arithmetic and functions in f32, and conversions between dtypes.
import { address, float, word } from './lib/job';
import { erf4, exp4, gelu4, geluTanh4, relu4, sigmoid4, silu4, softplus4, tanh4 } from './lib/math';
import { place, place0, place1, place2 } from './lib/walk';

// The numbers of the operations; src/cpu/kernels/elementwise.ts holds the same list.
const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;
const DIV: i32 = 3;
const MINIMUM: i32 = 4;

// @ts-ignore: decorator
@inline
function combine4(operation: i32, a: v128, b: v128): v128 {
  switch (operation) {
    case ADD:
      return f32x4.add(a, b);
    case SUB:
      return f32x4.sub(a, b);
    case MUL:
      return f32x4.mul(a, b);
    case DIV:
      return f32x4.div(a, b);
    case MINIMUM:
      return f32x4.min(a, b);
    default:
      return f32x4.max(a, b);
  }
}

/** Operands whose elements follow each other or repeat one element: whole vectors. */
function combineVectors(operation: i32, a: usize, aStep: usize, b: usize, bStep: usize, out: usize, count: i32): void {
  const end = out + (<usize>(count & ~3) << 2);
  const aJump = aStep << 2;
  const bJump = bStep << 2;
  for (; out < end; out += 16) {
    const left = aStep === 0 ? v128.load_splat<f32>(a) : v128.load(a);
    const right = bStep === 0 ? v128.load_splat<f32>(b) : v128.load(b);
    v128.store(out, combine4(operation, left, right));
    a += aJump;
    b += bJump;
  }
  combineElements(operation, a, aStep, b, bStep, out, count & 3);
}

function combineElements(operation: i32, a: usize, aStep: usize, b: usize, bStep: usize, out: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const value = combine4(operation, v128.load_splat<f32>(a), v128.load_splat<f32>(b));
    store<f32>(out, f32x4.extract_lane(value, 0));
    a += aStep;
    b += bStep;
    out += 4;
  }
}

/**
 * Two operands of any strides. One item is a chunk of the inner axis in one row of the outer axes.
 *
 * Words: 0 a, 1 b, 2 out, 3 operation, 4 extent of the inner axis, 5 stride of a and 6 of b along it (bytes; the
 * output's is 4), 7 elements of a chunk, 8 rows, 9 walk (a, b, out).
 */
export function binary(args: usize, begin: i32, end: i32, scratch: usize): void {
  const operation = word(args, 3);
  const extent = word(args, 4);
  const aStep = <usize>word(args, 5);
  const bStep = <usize>word(args, 6);
  const chunk = word(args, 7);
  const rows = word(args, 8);
  const vectors = (aStep === 4 || aStep === 0) && (bStep === 4 || bStep === 0);
  for (let item = begin; item < end; item++) {
    const first = <usize>((item / rows) * chunk);
    const count = min(chunk, extent - <i32>first);
    place(args + 36, item % rows);
    const a = address(args, 0) + place0 + first * aStep;
    const b = address(args, 1) + place1 + first * bStep;
    const out = address(args, 2) + place2 + (first << 2);
    if (vectors) combineVectors(operation, a, aStep, b, bStep, out, count);
    else combineElements(operation, a, aStep, b, bStep, out, count);
  }
}

const NEG: i32 = 0;
const ABS: i32 = 1;
const SQUARE: i32 = 2;
const SQRT: i32 = 3;
const RSQRT: i32 = 4;
const RECIPROCAL: i32 = 5;
const FLOOR: i32 = 6;
const CEIL: i32 = 7;
const ROUND: i32 = 8;
const RELU: i32 = 9;
const EXP: i32 = 10;
const TANH: i32 = 11;
const SIGMOID: i32 = 12;
const SILU: i32 = 13;
const ERF: i32 = 14;
const GELU: i32 = 15;
const GELU_TANH: i32 = 16;
const GELU_QUICK: i32 = 17;
const CLAMP: i32 = 18;
const SOFTPLUS: i32 = 19;

// @ts-ignore: decorator
@inline
function map4(operation: i32, x: v128, low: v128, high: v128): v128 {
  switch (operation) {
    case NEG:
      return f32x4.neg(x);
    case ABS:
      return f32x4.abs(x);
    case SQUARE:
      return f32x4.mul(x, x);
    case SQRT:
      return f32x4.sqrt(x);
    case RSQRT:
      return f32x4.div(f32x4.splat(1), f32x4.sqrt(x));
    case RECIPROCAL:
      return f32x4.div(f32x4.splat(1), x);
    case FLOOR:
      return f32x4.floor(x);
    case CEIL:
      return f32x4.ceil(x);
    case ROUND:
      return f32x4.nearest(x);
    case RELU:
      return relu4(x);
    case EXP:
      return exp4(x);
    case TANH:
      return tanh4(x);
    case SIGMOID:
      return sigmoid4(x);
    case SILU:
      return silu4(x, 1);
    case ERF:
      return erf4(x);
    case GELU:
      return gelu4(x);
    case GELU_TANH:
      return geluTanh4(x);
    case GELU_QUICK:
      return silu4(x, 1.702);
    case SOFTPLUS:
      return softplus4(x);
    default:
      return f32x4.min(high, f32x4.max(low, x));
  }
}

/** Inlined once for each operation, so that its constants stay in registers. */
// @ts-ignore: decorator
@inline
function mapChunk(operation: i32, x: usize, out: usize, count: i32, low: v128, high: v128): void {
  const stop = out + (<usize>count << 2);
  for (; out + 16 <= stop; out += 16) {
    v128.store(out, map4(operation, v128.load(x), low, high));
    x += 16;
  }
  for (; out < stop; out += 4) {
    store<f32>(out, f32x4.extract_lane(map4(operation, v128.load_splat<f32>(x), low, high), 0));
    x += 4;
  }
}

function chooseMap(operation: i32, x: usize, out: usize, count: i32, low: v128, high: v128): void {
  switch (operation) {
    case NEG:
      return mapChunk(NEG, x, out, count, low, high);
    case ABS:
      return mapChunk(ABS, x, out, count, low, high);
    case SQUARE:
      return mapChunk(SQUARE, x, out, count, low, high);
    case SQRT:
      return mapChunk(SQRT, x, out, count, low, high);
    case RSQRT:
      return mapChunk(RSQRT, x, out, count, low, high);
    case RECIPROCAL:
      return mapChunk(RECIPROCAL, x, out, count, low, high);
    case FLOOR:
      return mapChunk(FLOOR, x, out, count, low, high);
    case CEIL:
      return mapChunk(CEIL, x, out, count, low, high);
    case ROUND:
      return mapChunk(ROUND, x, out, count, low, high);
    case RELU:
      return mapChunk(RELU, x, out, count, low, high);
    case EXP:
      return mapChunk(EXP, x, out, count, low, high);
    case TANH:
      return mapChunk(TANH, x, out, count, low, high);
    case SIGMOID:
      return mapChunk(SIGMOID, x, out, count, low, high);
    case SILU:
      return mapChunk(SILU, x, out, count, low, high);
    case ERF:
      return mapChunk(ERF, x, out, count, low, high);
    case GELU:
      return mapChunk(GELU, x, out, count, low, high);
    case GELU_TANH:
      return mapChunk(GELU_TANH, x, out, count, low, high);
    case GELU_QUICK:
      return mapChunk(GELU_QUICK, x, out, count, low, high);
    case SOFTPLUS:
      return mapChunk(SOFTPLUS, x, out, count, low, high);
    default:
      return mapChunk(CLAMP, x, out, count, low, high);
  }
}

/**
 * One operand, contiguous. One item is a chunk.
 *
 * Words: 0 x, 1 out, 2 operation, 3 elements, 4 elements of a chunk, 5 lower and 6 upper bound of a clamp.
 */
export function unary(args: usize, begin: i32, end: i32, scratch: usize): void {
  const chunk = word(args, 4);
  const low = f32x4.splat(float(args, 5));
  const high = f32x4.splat(float(args, 6));
  for (let item = begin; item < end; item++) {
    const first = item * chunk;
    const count = min(chunk, word(args, 3) - first);
    const start = <usize>first << 2;
    chooseMap(word(args, 2), address(args, 0) + start, address(args, 1) + start, count, low, high);
  }
}
