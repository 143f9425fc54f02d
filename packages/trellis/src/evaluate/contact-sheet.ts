/** One row of pictures per example: what went in, what is true, and what came out. */
import { tileImages } from '../conditioning/image-grid.ts';
import type { PixelImage } from '../conditioning/image.ts';
import { preprocessImage } from '../conditioning/image-preprocess.ts';
import type { Asset } from '../pipeline/asset.ts';
import { orbitCamera, type Camera } from '../render/camera.ts';
import { renderViews, type AssetPart } from '../render/views.ts';
import type { Example } from './examples.ts';

/** Heads of the columns. */
export const COLUMNS: readonly string[] = [
  'input',
  'true voxels',
  'voxels',
  'Gaussians',
  'Gaussians, other side',
  'mesh',
  'mesh, other side',
  'radiance field',
];

const CELL = 192;
const DEGREE = Math.PI / 180;
// Narrow enough that objects, which fill the unit cube, fill the cell.
const FOV = 32 * DEGREE;
const RADIUS = 2.2;

/** A camera at the place of the picture, turned round the object by `turn` degrees. */
function cameraOf({ azimuth, elevation }: Example, turn: number): Camera {
  // Examples count azimuth from the x axis, cameras from the y axis the other way round.
  const yaw = (90 - azimuth - turn) * DEGREE;
  return orbitCamera({ yaw, pitch: elevation * DEGREE, radius: RADIUS, fov: FOV });
}

function row(example: Example, asset: Asset): (PixelImage | undefined)[] {
  const front = cameraOf(example, 0);
  const side = cameraOf(example, 135);
  const view = (part: AssetPart | undefined, camera: Camera): PixelImage | undefined =>
    part === undefined ? undefined : renderViews(part, { views: [camera], size: CELL })[0];
  return [
    preprocessImage(example.image, { size: CELL }),
    view(example.voxels, front),
    view(asset.voxels, front),
    view(asset.gaussians, front),
    view(asset.gaussians, side),
    view(asset.mesh, front),
    view(asset.mesh, side),
    view(asset.radianceField, front),
  ];
}

/** The sheet, columns as in `COLUMNS`. @throws InputError without examples. */
export function contactSheet(
  examples: readonly Example[],
  assets: ReadonlyMap<string, Asset>,
): PixelImage {
  const rows = examples.flatMap((example) => {
    const asset = assets.get(example.id);
    return asset === undefined ? [] : [row(example, asset)];
  });
  return tileImages(rows, { cell: CELL });
}
