/** Every elementwise op from one generator: a WGSL expression, applied over broadcast and strided operands. */
import {
  broadcastStrides,
  type BinaryAttrs,
  type CastAttrs,
  type ClampAttrs,
  type DType,
  type GeluAttrs,
  type KernelCall,
} from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { valueType, type BindingSpec } from '../wgsl/access.ts';
import { ACTIVATION_CALLS } from '../wgsl/math.ts';
import type { ParamType } from '../wgsl/program.ts';
import { castExpression } from './cast-rules.ts';
import {
  BINARY_RULES,
  ELEMENTWISE_HELPERS,
  ruleFor,
  UNARY_RULES,
  type ElementwiseRule,
} from './elementwise-rules.ts';
import { LaneVersions, type Lanes, type Launch } from './launch.ts';
import { byFours, mergeAxes, repeatsElement, walkCode, walkParams, walksByFours } from './walk.ts';

const WORKGROUP = 256;

/** What one elementwise program computes. */
interface Formula {
  readonly label: string;
  /** Operand names in the order of the call's inputs. */
  readonly operands: readonly string[];
  /** WGSL expression of the operands and of `params`. */
  readonly expression: string;
  readonly params?: Readonly<Record<string, readonly [type: ParamType, value: number]>>;
  /** Operands defined by WGSL statements instead of an input. */
  readonly locals?: string;
}

/** Generates the program of a formula over the call's present inputs. */
function plan(call: KernelCall, context: WebGpuContext, formula: Formula): LaneVersions {
  const inputs = call.inputs.filter((input) => input !== undefined);
  const out = call.outputs[0]!;
  const { operands } = formula;
  const walk = mergeAxes(
    out.shape,
    inputs.map(({ shape, strides }) => broadcastStrides(shape, strides, out.shape)),
  );
  const make = (lanes: Lanes): Launch => {
    const steps = lanes === 4 ? byFours(walk) : walk;
    const repeated = walk.strides.map((strides) => lanes === 4 && repeatsElement(strides));
    const bindings: BindingSpec[] = inputs.map(({ dtype }, i) => ({
      name: operands[i]!,
      dtype,
      use: 'read',
      lanes: repeated[i] === true ? 1 : lanes,
    }));
    bindings.push({ name: 'out', dtype: out.dtype, use: 'write', lanes });
    const { types, values } = walkParams(steps, operands);
    for (const [name, [type, value]] of Object.entries(formula.params ?? {})) {
      types[name] = type;
      values[name] = value;
    }
    const program = context.program({
      label: `${formula.label}.${inputs[0]!.dtype}`,
      bindings,
      params: types,
      each: 'element',
      workgroup: WORKGROUP,
      helpers: ELEMENTWISE_HELPERS,
      body: elementwiseBody(
        formula,
        inputs.map(({ dtype }) => dtype),
        out.dtype,
        {
          rank: steps.shape.length,
          lanes,
          repeated,
        },
      ),
    });
    const count = steps.shape.reduce((size, extent) => size * extent, 1);
    return { program, params: program.pack(values), count };
  };
  return new LaneVersions(walksByFours(walk), make);
}

interface BodyShape {
  readonly rank: number;
  readonly lanes: Lanes;
  /** Operands of which all four lanes see one element. */
  readonly repeated: readonly boolean[];
}

function elementwiseBody(
  formula: Formula,
  dtypes: readonly DType[],
  out: DType,
  { rank, lanes, repeated }: BodyShape,
): string {
  const { operands, expression, locals = '' } = formula;
  const typed = operands.map((name, i) => `${name}: ${valueType(dtypes[i]!)}`);
  const loads = operands.map((name) => `  let ${name} = load_${name}(${name}_i);`);
  const call = (lane: string): string =>
    `apply(${operands.map((name, i) => (lane === '' || repeated[i] === true ? name : `${name}.${lane}`)).join(', ')})`;
  const result =
    lanes === 1
      ? call('')
      : `vec4<${valueType(out)}>(${['x', 'y', 'z', 'w'].map(call).join(', ')})`;
  return `
fn apply(${typed.join(', ')}) -> ${valueType(out)} {
  ${locals}
  return ${expression};
}
fn run(index: u32) {
${walkCode(rank, operands, 'index')}
${loads.join('\n')}
  store_out(index, ${result});
}`;
}

/** A kernel that generates its formula from the call. */
function kernel<Attrs extends object>(
  op: string,
  formula: (call: KernelCall<Attrs>) => Formula,
): WebGpuKernel {
  const made: WebGpuKernel<Attrs, LaneVersions> = {
    op,
    supports: () => true,
    acceptsStrides: () => true,
    prepare: (call, context) => plan(call, context, formula(call)),
    run(planned, inputs, [out], context) {
      const present = inputs.filter((input) => input !== undefined);
      planned.enqueue(context, [...present, out!]);
    },
  };
  return made;
}

function unary(op: string, rule: ElementwiseRule): WebGpuKernel {
  return kernel(op, ({ inputs }) => ({
    label: op,
    operands: ['a'],
    expression: ruleFor(rule, valueType(inputs[0]!.dtype))!,
  }));
}

function binary(op: string, rule: ElementwiseRule): WebGpuKernel {
  return kernel<BinaryAttrs>(op, ({ inputs, attrs }) => {
    const type = valueType(inputs[0]!.dtype);
    const expression = ruleFor(rule, type)!;
    if (inputs[1] !== undefined) return { label: op, operands: ['a', 'b'], expression };
    // The number takes the place of b, or of a when it comes first.
    const number = type === 'bool' ? 'params.scalar != 0u' : 'params.scalar';
    const [operand, other] = attrs.reverse === true ? ['b', 'a'] : ['a', 'b'];
    return {
      label: `${op}.number`,
      operands: [operand],
      expression,
      locals: `let ${other} = ${number};`,
      params: { scalar: [type === 'bool' ? 'u32' : type, attrs.scalar!] },
    };
  });
}

const GELU_FORMS = { none: 'gelu', tanh: 'geluTanh', quick: 'quickGelu' } as const;

const geluKernel = kernel<GeluAttrs>('gelu', ({ attrs }) => ({
  label: `gelu.${attrs.approximate}`,
  operands: ['a'],
  expression: ACTIVATION_CALLS[GELU_FORMS[attrs.approximate]]('a'),
}));

const RANGES = { i32: [-0x80000000, 0x7fffffff], u32: [0, 0xffffffff] } as const;

const clampKernel = kernel<ClampAttrs>('clamp', ({ inputs, attrs }) => {
  const type = valueType(inputs[0]!.dtype) as 'f32' | 'i32' | 'u32';
  // A bound beyond the integers of the type bounds like the last of them.
  const fit = (bound: number): number =>
    type === 'f32' ? bound : Math.min(RANGES[type][1], Math.max(RANGES[type][0], bound));
  const [raise, lower] = type === 'f32' ? ['max_f32', 'min_f32'] : ['max', 'min'];
  const params: Record<string, readonly [ParamType, number]> = {};
  let expression = 'a';
  if (attrs.min !== undefined) {
    params['low'] = [type, fit(attrs.min)];
    expression = `${raise}(a, params.low)`;
  }
  if (attrs.max !== undefined) {
    params['high'] = [type, fit(attrs.max)];
    expression = `${lower}(${expression}, params.high)`;
  }
  const form = `${attrs.min === undefined ? '' : '.min'}${attrs.max === undefined ? '' : '.max'}`;
  return { label: `clamp${form}`, operands: ['a'], expression, params };
});

const whereKernel = kernel('where', () => ({
  label: 'where',
  operands: ['condition', 'a', 'b'],
  expression: 'select(b, a, condition)',
}));

const castKernel = kernel<CastAttrs>('cast', ({ inputs, attrs }) => ({
  label: `cast.${attrs.dtype}`,
  operands: ['a'],
  expression: castExpression(inputs[0]!.dtype, attrs.dtype),
}));

export const elementwiseKernels: readonly WebGpuKernel[] = [
  ...Object.entries(UNARY_RULES).map(([op, rule]) => unary(op, rule)),
  ...Object.entries(BINARY_RULES).map(([op, rule]) => binary(op, rule)),
  geluKernel,
  clampKernel,
  whereKernel,
  castKernel,
];
