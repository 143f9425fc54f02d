/** Coordinate lists as bindings: rows (batch, x, y, z), read and written whole. */
import type { BindingSpec } from '../../wgsl/access.ts';
import type { Lanes } from '../launch.ts';

/** A binding of an i32 `[N, 4]` tensor: a row per access where its offset permits, else four accesses. */
export function coordBinding(name: string, use: 'read' | 'write', lanes: Lanes): BindingSpec {
  return { name, dtype: 'i32', use, lanes };
}

/** WGSL of `row_<name>(row: u32) -> vec4<i32>`. */
export function rowReader(name: string, lanes: Lanes): string {
  const parts = [0, 1, 2, 3].map((i) => `load_${name}(4u * row + ${i}u)`);
  const value = lanes === 4 ? `load_${name}(row)` : `vec4<i32>(${parts.join(', ')})`;
  return `fn row_${name}(row: u32) -> vec4<i32> { return ${value}; }\n`;
}

/** WGSL of `put_<name>(row: u32, value: vec4<i32>)`. */
export function rowWriter(name: string, lanes: Lanes): string {
  const parts = [0, 1, 2, 3].map((i) => `store_${name}(4u * row + ${i}u, value[${i}]);`);
  const body = lanes === 4 ? `store_${name}(row, value);` : parts.join(' ');
  return `fn put_${name}(row: u32, value: vec4<i32>) { ${body} }\n`;
}

/** Quotients rounded down; divisors are positive. */
export const FLOOR_DIVIDE: string = `
fn floor_divide(a: vec3<i32>, b: vec3<i32>) -> vec3<i32> {
  let quotient = a / b;
  return quotient - select(vec3<i32>(0), vec3<i32>(1), a - quotient * b < vec3<i32>(0));
}
`;
