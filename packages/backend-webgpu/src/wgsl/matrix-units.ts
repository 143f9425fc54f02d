/**
 * Subgroup matrices: products of 16x16 halves with f32 sums, shared by the lanes of a subgroup.
 *
 * Programs keep their tiles in one workgroup array of `vec4<u32>`, the pool: eight halves or four f32 in an element.
 * Offsets and strides count its elements.
 */
import type { Capabilities } from '../capabilities.ts';

/** Rows, columns and depth of one matrix product. */
export const MATRIX = 16;

/** Lanes of a subgroup, the only size that the tile shapes are made for. */
export const SUBGROUP = 32;

/** Extensions that the programs enable. */
export const MATRIX_ENABLES: readonly string[] = [
  'f16',
  'subgroups',
  'chromium_experimental_subgroup_matrix',
];

/** Conversions between f32 and packed halves. */
export const HALVES: string = `
fn halves_of(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
  let a = vec4<f16>(low);
  let b = vec4<f16>(high);
  return vec4<u32>(bitcast<u32>(a.xy), bitcast<u32>(a.zw), bitcast<u32>(b.xy), bitcast<u32>(b.zw));
}
fn floats_of(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(vec4<f16>(bitcast<vec2<f16>>(words.x), bitcast<vec2<f16>>(words.y)));
}
`;

type Order = 'row_major' | 'col_major';

/** Type of a matrix of sums; declared variables are zero. */
export const SUMS: string = `subgroup_matrix_result<f32, ${MATRIX}, ${MATRIX}>`;

/** Expression that loads halves from the pool. */
export function loadHalves(
  side: 'left' | 'right',
  order: Order,
  offset: string,
  stride: number,
): string {
  return `subgroupMatrixLoad<subgroup_matrix_${side}<f16, ${MATRIX}, ${MATRIX}>, ${order}>(&pool, ${offset}, ${stride}u)`;
}

/** Expression that loads sums from the pool, row by row. */
export function loadSums(offset: string, stride: number): string {
  return `subgroupMatrixLoad<${SUMS}, row_major>(&pool, ${offset}, ${stride}u)`;
}

/** Statement that stores sums to the pool, row by row. */
export function storeSums(sums: string, offset: string, stride: number): string {
  return `subgroupMatrixStore<row_major>(&pool, ${offset}, ${sums}, ${stride}u);`;
}

/** Statement that adds a product to sums. */
export function accumulate(sums: string, left: string, right: string): string {
  return `${sums} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sums});`;
}

/** Whether a device multiplies halves with f32 sums in subgroups of the size that our programs need. */
export function hasMatrixUnits(capabilities: Capabilities): boolean {
  const { f16, subgroupMinSize, subgroupMaxSize, subgroupMatrix } = capabilities;
  return (
    f16 &&
    subgroupMinSize === SUBGROUP &&
    subgroupMaxSize === SUBGROUP &&
    subgroupMatrix.some(
      ({ M, N, K, componentType, resultComponentType }) =>
        M === MATRIX &&
        N === MATRIX &&
        K === MATRIX &&
        componentType === 'f16' &&
        resultComponentType === 'f32',
    )
  );
}

/** True when a pool of this many elements fits the workgroup memory of a device. */
export function poolFits(elements: number, { workgroupBytes }: Capabilities): boolean {
  // A few words beside the pool.
  return elements * 16 + 64 <= workgroupBytes;
}
