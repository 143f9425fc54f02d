/**
 * Subgroup matrices in plain WGSL, so that programs made for matrix units can be checked on devices without them.
 *
 * The first lane of every 32 does the work of its subgroup, on matrices in private memory. A matrix value becomes the
 * place of its 256 elements: each name in the source has a place of its own.
 */
import type { Device } from '@pergola/core';
import type { Capabilities, ProgramSpec, WebGpuContext } from '@pergola/backend-webgpu';

const SUMS = 'subgroup_matrix_result<f32, 16, 16>';

function functions(matrices: number): string {
  return `
var<private> matrices: array<f32, ${matrices * 256}>;
var<private> leads: bool;
fn emulated_half(index: u32) -> f32 {
  let word = pool[index / 8u][index / 2u % 4u];
  return emulated_value((word >> (index % 2u * 16u)) & 0xffffu);
}
fn emulated_zero(place: u32) -> u32 {
  if (leads) { for (var i = 0u; i < 256u; i++) { matrices[place + i] = 0.0; } }
  return place;
}
fn emulated_halves(place: u32, columns_first: bool, offset: u32, stride: u32) -> u32 {
  if (leads) {
    for (var i = 0u; i < 256u; i++) {
      let line = select(i / 16u, i % 16u, columns_first);
      let step = select(i % 16u, i / 16u, columns_first);
      matrices[place + i] = emulated_half(offset * 8u + line * stride * 8u + step);
    }
  }
  return place;
}
fn emulated_sums(place: u32, offset: u32, stride: u32) -> u32 {
  if (leads) {
    for (var i = 0u; i < 256u; i++) {
      let at = (offset + i / 16u * stride) * 4u + i % 16u;
      matrices[place + i] = bitcast<f32>(pool[at / 4u][at % 4u]);
    }
  }
  return place;
}
fn emulated_store(offset: u32, place: u32, stride: u32) {
  if (leads) {
    for (var i = 0u; i < 256u; i++) {
      let at = (offset + i / 16u * stride) * 4u + i % 16u;
      pool[at / 4u][at % 4u] = bitcast<u32>(matrices[place + i]);
    }
  }
}
fn emulated_multiply(left: u32, right: u32, sums: u32) -> u32 {
  if (leads) {
    for (var at = 0u; at < 256u; at++) {
      var sum = matrices[sums + at];
      for (var k = 0u; k < 16u; k++) { sum += matrices[left + at / 16u * 16u + k] * matrices[right + k * 16u + at % 16u]; }
      matrices[sums + at] = sum;
    }
  }
  return sums;
}
`;
}

// The built-in conversions need not keep infinities and NaN. One return each: drivers inline calls, and early returns as
// loops of their own.
const HALVES = `
fn emulated_value(half: u32) -> f32 {
  let special = bitcast<f32>(((half & 0x8000u) << 16u) | 0x7f800000u | ((half & 0x3ffu) << 13u));
  return select(unpack2x16float(half).x, special, (half & 0x7c00u) == 0x7c00u);
}
fn emulated_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let magnitude = bits & 0x7fffffffu;
  let special = ((bits >> 16u) & 0x8000u) | select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u);
  return select(pack2x16float(vec2<f32>(value, 0.0)) & 0xffffu, special, magnitude >= 0x7f800000u);
}
fn emulated_pair(pair: vec2<f32>) -> u32 { return emulated_bits(pair.x) | (emulated_bits(pair.y) << 16u); }
fn halves_of(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
  return vec4<u32>(emulated_pair(low.xy), emulated_pair(low.zw), emulated_pair(high.xy), emulated_pair(high.zw));
}
fn floats_of(words: vec2<u32>) -> vec4<f32> {
  let halves = vec4<u32>(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
  return vec4<f32>(emulated_value(halves.x), emulated_value(halves.y), emulated_value(halves.z), emulated_value(halves.w));
}
`;

/** The same program without subgroup matrices and f16. */
export function emulateMatrices<P extends string>(spec: ProgramSpec<P>): ProgramSpec<P> {
  if (spec.enables?.includes('chromium_experimental_subgroup_matrix') !== true) return spec;
  const names: string[] = [];
  const place = (name: string): string => {
    if (!names.includes(name)) names.push(name);
    return `${256 * names.indexOf(name)}u`;
  };
  const body = spec.body
    .replaceAll(
      new RegExp(`var (\\w+): ${SUMS};`, 'g'),
      (_, name: string) => `var ${name} = emulated_zero(${place(name)});`,
    )
    .replaceAll(
      new RegExp(`(\\w+) = ${SUMS}\\(\\);`, 'g'),
      (_, name: string) => `${name} = emulated_zero(${name});`,
    )
    .replaceAll(
      /(\w+) = subgroupMatrixLoad<subgroup_matrix_(?:left|right)<f16, 16, 16>, (row|col)_major>\(&pool, /g,
      (_, name: string, order: string) =>
        `${name} = emulated_halves(${place(name)}, ${String(order === 'col')}, `,
    )
    .replaceAll(
      new RegExp(`(\\w+) = subgroupMatrixLoad<${SUMS}, row_major>\\(&pool, `, 'g'),
      (_, name: string) => `${name} = emulated_sums(${place(name)}, `,
    )
    .replaceAll('subgroupMatrixStore<row_major>(&pool, ', 'emulated_store(')
    .replaceAll('subgroupMatrixMultiplyAccumulate', 'emulated_multiply')
    .replace(
      'fn run(group: u32, lane: u32, subgroup: u32) {',
      'fn run(group: u32, lane: u32) {\n  let subgroup = lane / 32u;\n  leads = lane % 32u == 0u;',
    );
  const { enables: _enables, subgroupId: _subgroupId, ...rest } = spec;
  const enables = body.includes('subgroupShuffle') ? ['subgroups'] : [];
  const helpers = (spec.helpers ?? []).filter((helper) => !helper.includes('fn halves_of'));
  return { ...rest, enables, helpers: [...helpers, HALVES], body: functions(names.length) + body };
}

/** Capabilities of a device with matrix units, on top of what `real` offers. */
export function withMatrixUnits(real: Capabilities): Capabilities {
  return {
    ...real,
    software: false,
    f16: true,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrix: [{ M: 16, N: 16, K: 16, componentType: 'f16', resultComponentType: 'f32' }],
  };
}

/** Makes a WebGPU device claim matrix units, and emulate them. */
export function emulateMatrixUnits(device: Device): Device {
  const context = device.backend.context as WebGpuContext;
  const real = context.capabilities;
  const { pipelines } = context;
  // Emulated programs are compiled for the real device.
  const compile = context.program.bind({ pipelines, capabilities: real } as WebGpuContext);
  Object.assign(context, {
    capabilities: withMatrixUnits(real),
    program: (spec: ProgramSpec) => compile(emulateMatrices(spec)),
  });
  return device;
}
