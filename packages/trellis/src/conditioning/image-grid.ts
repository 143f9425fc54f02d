/** Pictures side by side: contact sheets and previews from several sides. */
import { InputError } from '@pergola/core';
import { checkImage, toRgba, type PixelImage } from './image.ts';
import { resizeLanczos } from './lanczos.ts';

/** Options of `tileImages`. */
export interface TileOptions {
  /** Side of a cell in pixels; pictures of another size are resized. */
  readonly cell: number;
  /** Colour behind transparent pictures and empty cells. Default white. */
  readonly background?: readonly [red: number, green: number, blue: number];
}

/**
 * Lays rows of square pictures on one sheet. Rows may differ in length.
 *
 * @param rows from top to bottom; `undefined` leaves a cell empty.
 * @returns RGB.
 * @throws InputError without any picture, or for a malformed one.
 */
export function tileImages(
  rows: readonly (readonly (PixelImage | undefined)[])[],
  options: TileOptions,
): PixelImage {
  const { cell, background = [255, 255, 255] } = options;
  const columns = Math.max(0, ...rows.map((row) => row.length));
  if (columns === 0) throw new InputError('tileImages: needs at least one picture.');
  const width = columns * cell;
  const height = rows.length * cell;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = background[i % 3]!;
  rows.forEach((row, r) => {
    row.forEach((image, column) => {
      if (image === undefined) return;
      checkImage('tileImages', image);
      const tile = toRgba(resizeLanczos(image, cell, cell)).data;
      for (let y = 0; y < cell; y++) {
        for (let x = 0; x < cell; x++) {
          const from = (y * cell + x) * 4;
          const to = ((r * cell + y) * width + column * cell + x) * 3;
          const alpha = tile[from + 3]! / 255;
          for (let c = 0; c < 3; c++) {
            data[to + c] = Math.round(tile[from + c]! * alpha + background[c]! * (1 - alpha));
          }
        }
      }
    });
  });
  return { width, height, channels: 3, data };
}
