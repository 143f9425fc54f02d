/** What a screenshot of a view shows, in numbers. */
import { cropImage, decodeImage } from '@pergola/trellis';

/** Sum over the channels by which a pixel must differ from the ground to belong to the object. */
const OBJECT_CONTRAST = 40;
/** Pixels at each side that belong to the frame of a view. */
const FRAME = 8;

/** The pixels of an object before a plain ground. */
export interface Silhouette {
  /** Share of all pixels. */
  readonly share: number;
  /** Height of the object's box over that of the picture. */
  readonly height: number;
  /** Mean of the object's pixels, red, green and blue from 0 to 255. */
  readonly color: readonly [number, number, number];
}

/** Finds the object on a PNG whose top left corner, inside the frame, shows the ground. */
export async function findObject(png: Uint8Array): Promise<Silhouette> {
  const image = await decodeImage(png);
  const inner = [image.width - 2 * FRAME, image.height - 2 * FRAME] as const;
  const { width, height, channels, data } = cropImage(image, FRAME, FRAME, ...inner);
  const sums: [number, number, number] = [0, 0, 0];
  let count = 0;
  let [top, bottom] = [height, -1];
  for (let i = 0; i < width * height; i++) {
    let contrast = 0;
    for (let c = 0; c < 3; c++) contrast += Math.abs(data[i * channels + c]! - data[c]!);
    if (contrast < OBJECT_CONTRAST) continue;
    for (let c = 0; c < 3; c++) sums[c]! += data[i * channels + c]!;
    count++;
    const row = Math.floor(i / width);
    top = Math.min(top, row);
    bottom = row;
  }
  const mean = (c: 0 | 1 | 2): number => sums[c] / count;
  return {
    share: count / (width * height),
    height: (bottom - top + 1) / height,
    color: [mean(0), mean(1), mean(2)],
  };
}
