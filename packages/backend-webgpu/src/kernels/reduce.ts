/** Reductions over any axes: `sum`, `mean`, `max`, `min`, `prod`, `any`, `all`, `variance`. */
import type { Binding, DType, KernelCall, ReduceAttrs, TensorLayout } from '@pergola/core';
import { sizeOf } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { valueType, type BindingSpec } from '../wgsl/access.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import type { ParamType, ProgramSpec } from '../wgsl/program.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { enqueue, type Launch } from './launch.ts';
import { rowWorkgroup } from './row-size.ts';
import { mergeAxes, walkCode, walkParams, type Walk } from './walk.ts';

const ELEMENT_WORKGROUP = 64;
// A workgroup of 256 reduces this many elements in 64 steps; longer rows are split when there are few of them.
const SPLIT_LENGTH = 16384;
const FEW_ROWS = 256;

type Strategy = 'serial' | 'group' | 'split';
const STRATEGIES: readonly Strategy[] = ['serial', 'group', 'split'];

/** What sets one reduction apart, in WGSL; `T` is the type of the running value. */
interface Rule {
  readonly type: (dtype: DType) => 'f32' | 'i32' | 'u32';
  readonly start: (type: string) => string;
  /** From element `v` to a running value. */
  readonly map: (dtype: DType) => string;
  /** Combines running values `a` and `b`. */
  readonly combine: (type: string) => string;
  /** From the total `t` of `params.length` elements to the result. */
  readonly finish: (dtype: DType) => string;
}

const numeric = (dtype: DType): 'f32' | 'i32' | 'u32' => {
  const type = valueType(dtype);
  return type === 'bool' ? 'u32' : type;
};
const one = (value: string) => (): string => value;

const SUM: Rule = {
  type: numeric,
  start: (type) => `${type}(0)`,
  map: one('v'),
  combine: one('a + b'),
  finish: one('t'),
};

function extreme(name: 'max' | 'min'): Rule {
  const sign = name === 'max' ? '-' : '';
  const limits = { i32: name === 'max' ? 'i32(-2147483648)' : '0x7fffffff', u32: '0xffffffffu' };
  return {
    ...SUM,
    start: (type) => {
      if (type === 'f32') return `${sign}infinity()`;
      if (type === 'i32') return limits.i32;
      return name === 'max' ? '0u' : limits.u32;
    },
    combine: (type) => (type === 'f32' ? `${name}_f32(a, b)` : `${name}(a, b)`),
  };
}

function logical(start: '0u' | '1u', combine: string): Rule {
  return {
    type: () => 'u32',
    start: () => start,
    map: (dtype) => {
      const type = valueType(dtype);
      return type === 'bool' ? 'u32(v)' : `u32(!(v == ${type}(0)))`;
    },
    combine: () => combine,
    finish: one('t != 0u'),
  };
}

const RULES: Readonly<Record<string, Rule>> = {
  sum: SUM,
  mean: { ...SUM, finish: one('t / f32(params.length)') },
  max: extreme('max'),
  min: extreme('min'),
  prod: { ...SUM, start: (type) => `${type}(1)`, combine: one('a * b') },
  any: logical('0u', 'a | b'),
  all: logical('1u', 'a & b'),
};

/** One pass of a reduction: from elements to results, or to parts of them. */
interface Pass {
  readonly label: string;
  readonly rule: Rule;
  readonly from: DType;
  readonly to: DType;
  readonly finish: string;
  /** Kept axes; its operand is x. */
  readonly rows: Walk;
  /** Reduced axes; likewise. */
  readonly columns: Walk;
  readonly parts: number;
  /** Per row: subtracted from each element before it is mapped. */
  readonly centred?: boolean;
}

function passLaunch(context: WebGpuContext, pass: Pass, strategy: 'serial' | 'group'): Launch {
  const { rule, from, to, rows, columns, parts } = pass;
  const type = rule.type(from);
  const length = sizeOf(columns.shape);
  const rowCount = sizeOf(rows.shape);
  const partLength = Math.max(1, Math.ceil(length / parts));
  const workgroup = strategy === 'serial' ? ELEMENT_WORKGROUP : rowWorkgroup(partLength);
  const rowWalk = walkParams(rows, ['x'], 'r');
  const columnWalk = walkParams(columns, ['x'], 'c');
  const types: Record<string, ParamType> = {
    ...rowWalk.types,
    ...columnWalk.types,
    length: 'u32',
    part_length: 'u32',
  };
  const values = {
    ...rowWalk.values,
    ...columnWalk.values,
    length,
    part_length: partLength,
  };
  const bindings: BindingSpec[] = [{ name: 'x', dtype: from, use: 'read' }];
  if (pass.centred === true) bindings.push({ name: 'centre', dtype: 'f32', use: 'read' });
  bindings.push({ name: 'out', dtype: to, use: 'write' });
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type,
    combine: rule.combine(type),
    workgroup,
  });
  const centre = pass.centred === true ? ' - load_centre(row)' : '';
  const total = `
fn combine(a: ${type}, b: ${type}) -> ${type} { return ${rule.combine(type)}; }
fn finish(t: ${type}) -> ${valueType(to)} { return ${pass.finish}; }
fn total_of(row: u32, first: u32, end: u32, step: u32) -> ${type} {
${walkCode(rows.shape.length, ['x'], 'row', 'r', '_row')}
  var total = ${rule.start(type)};
  for (var i = first; i < end; i += step) {
${walkCode(columns.shape.length, ['x'], 'i', 'c', '_column')}
    let v = load_x(x_row + x_column)${centre};
    total = combine(total, ${rule.map(from)});
  }
  return total;
}`;
  const element = `${total}
fn run(row: u32) {
  store_out(row, finish(total_of(row, 0u, params.length, 1u)));
}`;
  const grouped = `${total}
${reduction.code}
fn run(group: u32, lane: u32) {
  let first = (group % ${parts}u) * params.part_length;
  let end = min(params.length, first + params.part_length);
  let total = reduce(lane, total_of(group / ${parts}u, first + lane, end, ${workgroup}u));
  if (lane == 0u) { store_out(group, finish(total)); }
}`;
  const spec: ProgramSpec = {
    label: `${pass.label}.${from}`,
    bindings,
    params: types,
    each: strategy === 'serial' ? 'element' : 'group',
    workgroup,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: strategy === 'serial' ? element : grouped,
    enables: strategy === 'serial' ? [] : reduction.enables,
  };
  const program = context.program(spec);
  return { program, params: program.pack(values), count: rowCount * parts };
}

/** Enqueues a reduction from x (and, when centred, one number per row) to out. */
type Reducer = (context: WebGpuContext, ...bindings: Binding<GpuBuffer>[]) => void;

/** Rows and columns of the input as walks. */
function splitAxes({ shape, strides }: TensorLayout, axes: readonly number[]): [Walk, Walk] {
  const part = (reduced: boolean): Walk => {
    const chosen = shape.map((_, axis) => axis).filter((axis) => axes.includes(axis) === reduced);
    return mergeAxes(
      chosen.map((axis) => shape[axis]!),
      [chosen.map((axis) => strides[axis]!)],
    );
  };
  return [part(false), part(true)];
}

function chooseStrategy(rows: Walk, columns: Walk): Strategy {
  const [count, length] = [sizeOf(rows.shape), sizeOf(columns.shape)];
  if (length >= SPLIT_LENGTH && count < FEW_ROWS) return 'split';
  const neighbours = rows.strides[0]![rows.shape.length - 1] === 1;
  // Neighbouring rows in one workgroup read neighbouring elements, as long as there are enough of them.
  if (length <= 8 || (neighbours && count >= 4096)) return 'serial';
  return 'group';
}

function planReducer(
  context: WebGpuContext,
  base: Omit<Pass, 'parts' | 'finish'>,
  finish: string,
  strategy: Strategy,
): Reducer {
  if (strategy !== 'split') {
    const launch = passLaunch(context, { ...base, finish, parts: 1 }, strategy);
    return (target, ...bindings) => enqueue(target, launch, bindings);
  }
  const [rowCount, length] = [sizeOf(base.rows.shape), sizeOf(base.columns.shape)];
  const parts = Math.max(2, Math.ceil(length / SPLIT_LENGTH));
  const type = base.rule.type(base.from);
  const first = passLaunch(
    context,
    { ...base, label: `${base.label}.parts`, to: type, finish: 't', parts },
    'group',
  );
  const merged = {
    label: `${base.label}.merge`,
    rule: { ...base.rule, type: (): typeof type => type, map: one('v') },
    from: type,
    to: base.to,
    // The mean divides by the length of the whole row.
    finish: finish.replace('params.length', `${length}u`),
    rows: { shape: [rowCount], strides: [[parts]] },
    columns: { shape: [parts], strides: [[1]] },
    parts: 1,
  };
  const second = passLaunch(context, merged, 'group');
  return (target, ...bindings) => {
    const between = target.scratch(rowCount * parts);
    enqueue(target, first, [...bindings.slice(0, -1), between]);
    enqueue(target, second, [between, bindings[bindings.length - 1]!]);
    target.release(between);
  };
}

interface Planned {
  readonly reduce: Reducer;
}

function planFor(
  op: string,
  { inputs, outputs, attrs }: KernelCall<ReduceAttrs>,
  context: WebGpuContext,
  forced: string | undefined,
): Planned {
  const x = inputs[0]!;
  const rule = RULES[op]!;
  const [rows, columns] = splitAxes(x, attrs.axes);
  const strategy = (forced as Strategy | undefined) ?? chooseStrategy(rows, columns);
  const base = { label: op, rule, from: x.dtype, to: outputs[0]!.dtype, rows, columns };
  return { reduce: planReducer(context, base, rule.finish(x.dtype), strategy) };
}

function reduceKernel(op: string): WebGpuKernel {
  const kernel: WebGpuKernel<ReduceAttrs, Planned> = {
    op,
    strategies: STRATEGIES,
    supports: () => true,
    acceptsStrides: () => true,
    prepare: (call, context, strategy) => planFor(op, call, context, strategy),
    run({ reduce }, [x], [out], context) {
      reduce(context, x!, out!);
    },
  };
  return kernel;
}

interface VariancePlan {
  readonly mean: Reducer;
  readonly squares: Reducer;
  readonly rows: number;
}

/** Two passes, as in the reference: one pass over squares would cancel. */
const varianceKernel: WebGpuKernel<ReduceAttrs, VariancePlan> = {
  op: 'variance',
  strategies: STRATEGIES,
  supports: () => true,
  acceptsStrides: () => true,
  prepare({ inputs, outputs, attrs }, context, forced) {
    const x = inputs[0]!;
    const [rows, columns] = splitAxes(x, attrs.axes);
    const strategy = (forced as Strategy | undefined) ?? chooseStrategy(rows, columns);
    const mean = RULES['mean']!;
    const base = { from: x.dtype, rows, columns };
    const finish = mean.finish(x.dtype);
    return {
      mean: planReducer(
        context,
        { ...base, label: 'variance.mean', rule: mean, to: 'f32' },
        finish,
        strategy,
      ),
      squares: planReducer(
        context,
        {
          ...base,
          label: 'variance.squares',
          rule: { ...mean, map: one('v * v') },
          to: outputs[0]!.dtype,
          centred: true,
        },
        finish,
        strategy,
      ),
      rows: sizeOf(rows.shape),
    };
  },
  run({ mean, squares, rows }, [x], [out], context) {
    const centre = context.scratch(rows);
    mean(context, x!, centre);
    squares(context, x!, centre, out!);
    context.release(centre);
  },
};

export const reduceKernels: readonly WebGpuKernel[] = [
  ...Object.keys(RULES).map(reduceKernel),
  varianceKernel,
];
