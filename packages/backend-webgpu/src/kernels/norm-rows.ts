/** Normalisations over the last axis, a team of invocations per row: `layerNorm`, `rmsNorm`, `qkNorm`, `layerNormModulate`. */
import { QK_NORM_FLOOR, sizeOf } from '@pergola/core';
import type {
  KernelCall,
  LayerNormAttrs,
  LayerNormModulateAttrs,
  RmsNormAttrs,
  TensorLayout,
} from '@pergola/core';
import type { Capabilities } from '../capabilities.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import type { ParamType } from '../wgsl/program.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import { groupReduction, type GroupReduction } from '../wgsl/reduce.ts';
import { LaneVersions, type Lanes, type Launch } from './launch.ts';
import { PACKED_ELEMENT } from './packed-rows.ts';
import { rowTeam, type RowTeam } from './row-size.ts';
import { mergeAxes, walkCode, walkParams, type Walk } from './walk.ts';

/** What one normalisation does with a row. */
interface RowFormula {
  readonly label: string;
  /** Names of the inputs after x; the names of absent ones are left out. */
  readonly names: readonly string[];
  /** Inputs that are read one element at a time. */
  readonly narrow?: readonly string[];
  /** Whether the mean is subtracted before squares are summed. */
  readonly centred: boolean;
  /** WGSL f32 expression of the row's factor, from `squares` (their sum) and `params.channels`. */
  readonly factor: string;
  /** WGSL expression of the result from `normal` (value times factor), at access `i` of row `row`. */
  readonly result: string;
  /** WGSL statements before the row is written; may use `row`. */
  readonly before?: string;
  readonly helpers?: readonly string[];
  readonly params?: Readonly<Record<string, readonly [type: ParamType, value: number]>>;
}

/** The rows of x as a walk over its leading axes, and its last axis. */
interface Rows {
  readonly walk: Walk;
  readonly channels: number;
}

function rowsOf({ shape, strides }: TensorLayout): Rows {
  const last = shape.length - 1;
  return {
    walk: mergeAxes(shape.slice(0, last), [strides.slice(0, last)]),
    channels: shape[last]!,
  };
}

/** The invocations of a row, and how they sum up. */
interface NormTeam extends RowTeam {
  /** Rows of one run: of a workgroup, or of an element. */
  readonly rows: number;
  /** `fn reduce(lane: u32, value: f32) -> f32`. */
  readonly reduction: GroupReduction;
  /** WGSL: accesses of the row to write. */
  readonly written: string;
}

const SHORT_WORKGROUP = 128;
// Accesses per invocation at least, where there are enough, and at most.
const SHORT_ACCESSES = [2, 4] as const;

/** Several rows per workgroup, each shared by neighbours in a subgroup; undefined for rows that need more of them. */
function shortTeam(
  width: number,
  { software, subgroups, subgroupMinSize }: Capabilities,
): NormTeam | undefined {
  if (software || !subgroups || width > subgroupMinSize * SHORT_ACCESSES[1]) return undefined;
  const shuffles: string[] = [];
  let size = 1;
  for (; size < subgroupMinSize && size * SHORT_ACCESSES[0] < width; size *= 2) {
    shuffles.push(`sum += subgroupShuffleXor(sum, ${size}u);`);
  }
  const rows = SHORT_WORKGROUP / size;
  return {
    each: 'group',
    workgroup: SHORT_WORKGROUP,
    size,
    rows,
    // All invocations shuffle; those past the last row write nothing.
    run: `fn run(group: u32, place: u32) {
  let lane = place % ${size}u;
  let own = group * ${rows}u + place / ${size}u;
  let row = min(own, params.rows - 1u);`,
    reduction: {
      enables: ['subgroups'],
      code: `fn reduce(lane: u32, value: f32) -> f32 {
  var sum = value;
  ${shuffles.join('\n  ')}
  return sum;
}`,
    },
    written: 'select(0u, params.width, own < params.rows)',
  };
}

function normTeam(width: number, capabilities: Capabilities): NormTeam {
  const short = shortTeam(width, capabilities);
  if (short !== undefined) return short;
  const team = rowTeam(width, capabilities);
  const reduction = groupReduction(capabilities, {
    name: 'reduce',
    type: 'f32',
    combine: 'a + b',
    workgroup: team.size,
  });
  return { ...team, rows: 1, reduction, written: 'params.width' };
}

function rowLaunch(
  context: WebGpuContext,
  call: KernelCall,
  formula: RowFormula,
  lanes: Lanes,
): Launch {
  const [x, ...others] = call.inputs.filter((input) => input !== undefined);
  const { walk, channels } = rowsOf(x!);
  const width = channels / lanes;
  const team = normTeam(width, context.capabilities);
  const rows = sizeOf(walk.shape);
  const bindings: BindingSpec[] = [{ name: 'x', dtype: x!.dtype, use: 'read', lanes }];
  others.forEach(({ dtype }, i) => {
    const name = formula.names[i]!;
    const own = formula.narrow?.includes(name) === true ? 1 : lanes;
    bindings.push({ name, dtype, use: 'read', lanes: own });
  });
  bindings.push({ name: 'out', dtype: call.outputs[0]!.dtype, use: 'write', lanes });
  const steps = walkParams(
    { shape: walk.shape, strides: [walk.strides[0]!.map((stride) => stride / lanes)] },
    ['x'],
  );
  const types: Record<string, ParamType> = {
    ...steps.types,
    rows: 'u32',
    width: 'u32',
    channels: 'f32',
  };
  const values: Record<string, number> = { ...steps.values, rows, width, channels };
  for (const [name, [type, value]] of Object.entries(formula.params ?? {})) {
    types[name] = type;
    values[name] = value;
  }
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const total = lanes === 4 ? 'dot(v, vec4<f32>(1.0))' : 'v';
  const loop = (body: string, end = 'params.width'): string =>
    `for (var i = lane; i < ${end}; i += ${team.size}u) {\n    ${body}\n  }`;
  const mean = formula.centred
    ? `var sum = 0.0;
  ${loop('sum += total_of(load_x(start + i));')}
  let mean = reduce(lane, sum) / params.channels;`
    : 'let mean = 0.0;';
  const program = context.program({
    label: `${formula.label}.${x!.dtype}`,
    bindings,
    params: types,
    each: team.each,
    workgroup: team.workgroup,
    enables: team.reduction.enables,
    helpers: formula.helpers ?? [],
    body: `
alias Value = ${type};
${team.reduction.code}
fn total_of(v: Value) -> f32 { return ${total}; }
${team.run}
${walkCode(walk.shape.length, ['x'], 'row')}
  let start = x_i;
  ${mean}
  var part = 0.0;
  ${loop('let d = load_x(start + i) - mean;\n    part += total_of(d * d);')}
  let squares = reduce(lane, part);
  let factor = ${formula.factor};
  ${formula.before ?? ''}
  ${loop(
    `let normal = (load_x(start + i) - mean) * factor;
    store_out(row * params.width + i, ${formula.result});`,
    team.written,
  )}
}`,
  });
  return { program, params: program.pack(values), count: Math.ceil(rows / team.rows) };
}

/** Strides of x are kept as long as rows are contiguous; all other inputs must be contiguous. */
function rowsAreContiguous({ inputs }: KernelCall): boolean {
  const [x, ...others] = inputs;
  const last = x!.shape.length - 1;
  if (!others.every((input) => input === undefined || input.contiguous)) return false;
  return x!.strides[last] === 1 || x!.shape[last]! <= 1;
}

function rowKernel<Attrs extends object>(
  op: string,
  formula: (call: KernelCall<Attrs>) => RowFormula,
): WebGpuKernel {
  const kernel: WebGpuKernel<Attrs, LaneVersions> = {
    op,
    supports: () => true,
    acceptsStrides: rowsAreContiguous,
    prepare(call, context) {
      const { walk, channels } = rowsOf(call.inputs[0]!);
      const wide = channels % 4 === 0 && walk.strides[0]!.every((stride) => stride % 4 === 0);
      const made = formula(call);
      return new LaneVersions(wide, (lanes) => rowLaunch(context, call, made, lanes));
    },
    run(plan, inputs, [out], context) {
      plan.enqueue(context, [...inputs.filter((input) => input !== undefined), out!]);
    },
  };
  return kernel;
}

/** Appends ` * load_weight(i)` and ` + load_bias(i)` for the inputs that are there. */
function affine(present: readonly string[]): string {
  const weighted = present.includes('weight') ? 'normal * load_weight(i)' : 'normal';
  return present.includes('bias') ? `${weighted} + load_bias(i)` : weighted;
}

function presentNames({ inputs }: KernelCall, names: readonly string[]): string[] {
  return names.filter((_, i) => inputs[i + 1] !== undefined);
}

const layerNorm = rowKernel<LayerNormAttrs>('layerNorm', (call) => {
  const names = presentNames(call, ['weight', 'bias']);
  return {
    label: ['layerNorm', ...names].join('.'),
    names,
    centred: true,
    factor: 'inverseSqrt(squares / params.channels + params.eps)',
    result: affine(names),
    params: { eps: ['f32', call.attrs.eps] },
  };
});

const rmsNorm = rowKernel<RmsNormAttrs>('rmsNorm', (call) => {
  const names = presentNames(call, ['weight']);
  return {
    label: ['rmsNorm', ...names].join('.'),
    names,
    centred: false,
    factor: 'inverseSqrt(squares / params.channels + params.eps)',
    result: affine(names),
    params: { eps: ['f32', call.attrs.eps] },
  };
});

const qkNorm = rowKernel('qkNorm', ({ inputs }) => ({
  label: 'qkNorm',
  names: ['gamma'],
  centred: false,
  factor: 'sqrt(params.channels) / max_f32(sqrt(squares), params.floor)',
  before: 'let head = (row % params.heads) * params.width;',
  result: 'normal * load_gamma(head + i)',
  helpers: [NUMBER_CLASSES, EXTREMES],
  params: { heads: ['u32', inputs[0]!.shape[1]!], floor: ['f32', QK_NORM_FLOOR] },
}));

// Far left the exponential would overflow, where the result is 0.
const SILU_OF_VALUE = `
fn silu(v: Value) -> Value { return v / (1.0 + exp(min(-v, Value(88.0)))); }
`;

const layerNormModulate = rowKernel<LayerNormModulateAttrs>(
  'layerNormModulate',
  ({ inputs, attrs }) => {
    const normal = 'normal * (1.0 + load_scale(affine + i)) + load_shift(affine + i)';
    const plain = attrs.activation === 'none';
    const applied = plain ? normal : `silu(${normal})`;
    return {
      label: ['layerNormModulate', attrs.activation].join('.'),
      names: ['shift', 'scale', 'offsets'],
      narrow: ['offsets'],
      centred: true,
      factor: 'inverseSqrt(squares / params.channels + params.eps)',
      // Rows outside all batch elements are zero.
      before: `let element = packed_element(row, params.batch);
  let covered = element < params.batch;
  let affine = select(0u, element, covered) * params.width;`,
      result: `select(Value(), ${applied}, covered)`,
      helpers: plain ? [PACKED_ELEMENT] : [PACKED_ELEMENT, SILU_OF_VALUE],
      params: {
        eps: ['f32', attrs.eps],
        batch: ['u32', inputs[3]!.shape[0]! - 1],
      },
    };
  },
);

export const normRowKernels: readonly WebGpuKernel[] = [
  layerNorm,
  rmsNorm,
  qkNorm,
  layerNormModulate,
];
