/** From what a kernel declares (bindings, parameters, a `run` function) to a complete WGSL program. */
import { accessHelpers, bindingAccessors, declareBinding, type BindingSpec } from './access.ts';
import { SLOT_WORDS } from '../params.ts';

export type ParamType = 'u32' | 'i32' | 'f32';

/**
 * A compute program.
 *
 * The body is WGSL at module scope. It reads `params.<name>`, uses the accessors of its bindings, and defines
 *
 * - `fn run(index: u32)` for `each: 'element'`: once per index in `[0, count)`;
 * - `fn run(group: u32, lane: u32)` for `each: 'group'`: by all `workgroup` invocations of each group in `[0, count)`,
 *   in uniform control flow, so that it may use barriers; with `subgroupId` as `fn run(group, lane, subgroup: u32)`.
 *
 * `count` is given at launch. `params.<binding>_at` holds the tensor's offset, which accessors add by themselves.
 */
export interface ProgramSpec<P extends string = string> {
  /** Shown in errors and timings. */
  readonly label: string;
  readonly bindings: readonly BindingSpec[];
  readonly params: Readonly<Record<P, ParamType>>;
  readonly each: 'element' | 'group';
  /** Invocations per workgroup. */
  readonly workgroup: number;
  /** Functions that the body calls; each is included once. */
  readonly helpers?: readonly string[];
  readonly body: string;
  /** Extensions beyond `f16`, e.g. `subgroups`. */
  readonly enables?: readonly string[];
  /** Whether `run` takes the number of the invocation's subgroup; needs the extension `subgroups`. */
  readonly subgroupId?: boolean;
  /** Values of `override` constants in the body. */
  readonly constants?: Readonly<Record<string, number>>;
}

/** Names of the parameters that every program has before its own: the count, then one offset per binding. */
function headerNames(spec: ProgramSpec): string[] {
  return ['count', ...spec.bindings.map(({ name }) => `${name}_at`)];
}

/** Number of words of the header. */
export function headerWords(spec: ProgramSpec): number {
  return 1 + spec.bindings.length;
}

const BUILTINS = `@builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32`;

function entryPoint(spec: ProgramSpec): string {
  const body =
    spec.each === 'element'
      ? `let index = group * ${spec.workgroup}u + lane;
  if (index < params.count) { run(index); }`
      : `if (group < params.count) { run(group, lane${spec.subgroupId === true ? ', subgroup' : ''}); }`;
  return `
@compute @workgroup_size(${spec.workgroup})
fn main(
  ${BUILTINS}${spec.subgroupId === true ? ',\n  @builtin(subgroup_id) subgroup: u32' : ''}
) {
  // Grids beyond the limit of one dimension are folded into three.
  let group = (workgroup.z * grid.y + workgroup.y) * grid.x + workgroup.x;
  ${body}
}
`;
}

/**
 * The complete source.
 *
 * @param f16 whether the device's shaders have f16.
 */
export function programSource(spec: ProgramSpec, f16: boolean): string {
  const usesF16 = f16 && spec.bindings.some(({ dtype }) => dtype === 'f16');
  const enables = [...(usesF16 ? ['f16'] : []), ...(spec.enables ?? [])];
  const params = Object.entries<ParamType>(spec.params);
  if (headerWords(spec) + params.length > SLOT_WORDS) {
    throw new RangeError(`${spec.label}: has more parameters than a uniform slot holds.`);
  }
  const fields = [
    ...headerNames(spec).map((name) => `  ${name}: u32,`),
    ...params.map(([name, type]) => `  ${name}: ${type},`),
  ];
  return [
    ...enables.map((name) => `enable ${name};`),
    `struct Params {\n${fields.join('\n')}\n}`,
    '@group(1) @binding(0) var<uniform> params: Params;',
    ...spec.bindings.map((binding, i) => declareBinding(binding, i, f16)),
    accessHelpers(spec.bindings, f16),
    ...spec.bindings.map((binding) => bindingAccessors(binding, f16)),
    ...new Set(spec.helpers),
    spec.body,
    entryPoint(spec),
  ].join('\n');
}

/** Writes parameters behind an empty header, which each launch fills. */
export function packParams<P extends string>(
  spec: ProgramSpec<P>,
  values: Readonly<Record<P, number>>,
): Uint32Array {
  const names = Object.keys(spec.params) as P[];
  const start = headerWords(spec);
  const words = new Uint32Array(start + names.length);
  const floats = new Float32Array(words.buffer);
  names.forEach((name, i) => {
    if (spec.params[name] === 'f32') floats[start + i] = values[name];
    else words[start + i] = values[name];
  });
  return words;
}
