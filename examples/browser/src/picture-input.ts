/** The picture to work on: dropped, chosen from a file, or one of the examples. */

/** Elements of the page that the input consists of. */
export interface PictureElements {
  readonly drop: HTMLElement;
  readonly file: HTMLInputElement;
  readonly preview: HTMLImageElement;
  readonly hint: HTMLElement;
  /** Filled with a button for each example. */
  readonly examples: HTMLElement;
}

interface Caption {
  readonly index: number;
  readonly name: string;
  readonly caption: string;
}

/** Holds the picture chosen last. */
export class PictureInput {
  readonly #elements: PictureElements;
  readonly #onPicture: () => void;
  #picture: Blob | undefined;

  /** @param onPicture told of each picture chosen. */
  constructor(elements: PictureElements, onPicture: () => void) {
    this.#elements = elements;
    this.#onPicture = onPicture;
    const { drop, file } = elements;
    file.addEventListener('change', () => this.#show(file.files?.[0]));
    for (const type of ['dragenter', 'dragover']) {
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.add('over');
      });
    }
    drop.addEventListener('dragleave', () => drop.classList.remove('over'));
    drop.addEventListener('drop', (event) => {
      event.preventDefault();
      drop.classList.remove('over');
      this.#show(event.dataTransfer?.files[0]);
    });
  }

  /** `undefined` before the first choice. */
  get picture(): Blob | undefined {
    return this.#picture;
  }

  /** Offers the pictures of a folder, as its `captions.json` lists them. */
  async offerExamples(folder: string): Promise<void> {
    const response = await fetch(`${folder}/captions.json`);
    if (!response.ok) return;
    for (const { index, name, caption } of (await response.json()) as Caption[]) {
      const url = `${folder}/${String(index).padStart(2, '0')}_${name}.png`;
      const button = document.createElement('button');
      const image = document.createElement('img');
      image.src = url;
      image.alt = caption;
      button.type = 'button';
      button.title = caption;
      button.append(image);
      button.addEventListener('click', () => void this.#fetch(url));
      this.#elements.examples.append(button);
    }
  }

  async #fetch(url: string): Promise<void> {
    this.#show(await (await fetch(url)).blob());
  }

  #show(picture: Blob | undefined): void {
    if (picture === undefined) return;
    const { preview, hint } = this.#elements;
    this.#picture = picture;
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(picture);
    preview.hidden = false;
    hint.hidden = true;
    this.#onPicture();
  }
}
