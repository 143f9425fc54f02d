/** Which files a run writes, and what goes into them. */
import { writeGlb } from '../assets/glb.ts';
import { writeGaussianPly } from '../assets/gaussian-ply.ts';
import { encodePng } from '../conditioning/image-file.ts';
import { tileImages } from '../conditioning/image-grid.ts';
import type { Asset, AssetFormat } from '../pipeline/asset.ts';
import { renderViews, type AssetPart } from '../render/views.ts';
import type { OutputFile } from './output-folder.ts';

/** Kind of file, as `--formats` names it. */
export type FileFormat = 'glb' | 'ply' | 'png';

export const FILE_FORMATS: readonly FileFormat[] = ['glb', 'ply', 'png'];

/** Views on a preview, and the side of each in pixels. */
const VIEWS = 4;
const VIEW_SIZE = 320;

/** What must be decoded for these files. */
export function formatsToDecode(files: readonly FileFormat[]): AssetFormat[] {
  const formats: AssetFormat[] = [];
  if (files.includes('ply') || files.includes('png')) formats.push('gaussians');
  if (files.includes('glb') || files.includes('png')) formats.push('mesh');
  return formats;
}

/** A picture of one part from all sides, in one row. */
async function preview(part: AssetPart): Promise<Uint8Array> {
  const views = renderViews(part, { views: VIEWS, size: VIEW_SIZE });
  return encodePng(tileImages([views], { cell: VIEW_SIZE }));
}

/** The files of one asset. @param name file name without extension. */
export async function assetFiles(
  asset: Asset,
  name: string,
  formats: readonly FileFormat[],
): Promise<OutputFile[]> {
  const { mesh, gaussians } = asset;
  const files: OutputFile[] = [];
  if (formats.includes('glb') && mesh !== undefined) {
    files.push({ name: `${name}.glb`, data: await writeGlb(mesh, { name }) });
  }
  if (formats.includes('ply') && gaussians !== undefined) {
    files.push({ name: `${name}.ply`, data: writeGaussianPly(gaussians) });
  }
  if (formats.includes('png')) {
    if (mesh !== undefined) files.push({ name: `${name}-mesh.png`, data: await preview(mesh) });
    if (gaussians !== undefined) {
      files.push({ name: `${name}-splats.png`, data: await preview(gaussians) });
    }
  }
  return files;
}
