/** Colours of categories with their marks, as tiles that a canvas repeats. ECharts' own decals draw a
 * canvas of up to 512 x 512 pixels for every single item. */

import type { Category } from "../api/types";
import { STYLES, type Mark } from "../categories";

/** What ECharts takes in place of a colour. */
export interface Tile {
  image: HTMLCanvasElement;
  repeat: "repeat";
  scaleX: number;
  scaleY: number;
}

const made = new Map<string, Tile>();

/** Drawn once for each category and density of the screen. */
export function tileOf(category: Category): string | Tile {
  const { colour, mark } = STYLES[category];
  if (mark === null) return colour;
  const density = window.devicePixelRatio || 1;
  const key = `${category} ${density}`;
  const tile = made.get(key) ?? draw(colour, mark, density);
  made.set(key, tile);
  return tile;
}

function draw(colour: string, mark: Mark, density: number): Tile {
  // Whole pixels, so that neighbouring tiles meet.
  const pixels = Math.round(mark.apart * density);
  const image = document.createElement("canvas");
  image.width = image.height = pixels;
  const context = image.getContext("2d");
  if (context) {
    context.fillStyle = colour;
    context.fillRect(0, 0, pixels, pixels);
    context.fillStyle = context.strokeStyle = mark.light ? "rgba(255, 255, 255, 0.4)" : "rgba(0, 0, 0, 0.3)";
    context.lineWidth = 1.2 * density;
    MARKS[mark.kind](context, pixels);
  }
  return { image, repeat: "repeat", scaleX: mark.apart / pixels, scaleY: mark.apart / pixels };
}

const MARKS: Record<Mark["kind"], (context: CanvasRenderingContext2D, size: number) => void> = {
  dots: (context, size) => {
    context.beginPath();
    context.arc(size / 2, size / 2, 0.16 * size, 0, 2 * Math.PI);
    context.fill();
  },
  // Slanting ones go on beyond the corners, into the next tile.
  rising: (context, size) => stroke(context, [[-1, 1, 1, -1], [-1, 2, 2, -1], [0, 2, 2, 0]], size),
  falling: (context, size) => stroke(context, [[-1, 0, 1, 2], [-1, -1, 2, 2], [0, -1, 2, 1]], size),
  level: (context, size) => stroke(context, [[0, 0.5, 1, 0.5]], size),
  upright: (context, size) => stroke(context, [[0.5, 0, 0.5, 1]], size),
};

function stroke(context: CanvasRenderingContext2D, lines: [number, number, number, number][], size: number): void {
  context.beginPath();
  for (const [x, y, toX, toY] of lines) {
    context.moveTo(x * size, y * size);
    context.lineTo(toX * size, toY * size);
  }
  context.stroke();
}
