// What the timeline is drawn with: a canvas on the screen and for PNG, or the text of an SVG. The painter knows neither.

export interface Pen {
  rect(x: number, y: number, w: number, h: number, fill: string): void;
  /** Diagonal stripes. */
  hatch(x: number, y: number, w: number, h: number, stroke: string): void;
  line(x1: number, y1: number, x2: number, y2: number, stroke: string): void;
  polygon(points: readonly number[], fill: string, stroke?: string): void;
  circle(x: number, y: number, r: number, fill: string, stroke?: string): void;
  text(x: number, y: number, words: string, fill: string, options?: TextOptions): void;
  /** What is drawn in between is seen only inside. */
  clip(x: number, y: number, w: number, h: number, draw: () => void): void;
}

export interface TextOptions {
  bold?: boolean;
  align?: "left" | "center" | "right";
  size?: number;
  /** cut off, with an ellipsis, beyond so many pixels */
  width?: number;
}

const FAMILY = 'system-ui, "DejaVu Sans", sans-serif';
const SIZE = 12;

function font(options: TextOptions): string {
  return `${options.bold ? "600 " : ""}${options.size ?? SIZE}px ${FAMILY}`;
}

export class CanvasPen implements Pen {
  private readonly patterns = new Map<string, CanvasPattern | string>();

  constructor(readonly context: CanvasRenderingContext2D) {}

  rect(x: number, y: number, w: number, h: number, fill: string): void {
    this.context.fillStyle = fill;
    this.context.fillRect(x, y, w, h);
  }

  hatch(x: number, y: number, w: number, h: number, stroke: string): void {
    this.context.fillStyle = this.pattern(stroke);
    this.context.fillRect(x, y, w, h);
  }

  private pattern(stroke: string): CanvasPattern | string {
    let found = this.patterns.get(stroke);
    if (!found) {
      const tile = new OffscreenCanvas(6, 6);
      const context = tile.getContext("2d");
      if (context) {
        context.strokeStyle = stroke;
        context.lineWidth = 1.4;
        for (const shift of [-6, 0, 6]) {
          context.beginPath();
          context.moveTo(shift, 6);
          context.lineTo(shift + 6, 0);
          context.stroke();
        }
      }
      found = this.context.createPattern(tile, "repeat") ?? stroke;
      this.patterns.set(stroke, found);
    }
    return found;
  }

  line(x1: number, y1: number, x2: number, y2: number, stroke: string): void {
    const { context } = this;
    context.strokeStyle = stroke;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  polygon(points: readonly number[], fill: string, stroke?: string): void {
    const { context } = this;
    context.beginPath();
    for (let i = 0; i < points.length; i += 2) context.lineTo(points[i] ?? 0, points[i + 1] ?? 0);
    context.closePath();
    this.filled(fill, stroke);
  }

  circle(x: number, y: number, r: number, fill: string, stroke?: string): void {
    this.context.beginPath();
    this.context.arc(x, y, r, 0, Math.PI * 2);
    this.filled(fill, stroke);
  }

  private filled(fill: string, stroke?: string): void {
    const { context } = this;
    if (fill !== "none") {
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = 1.5;
      context.stroke();
    }
  }

  text(x: number, y: number, words: string, fill: string, options: TextOptions = {}): void {
    const { context } = this;
    context.font = font(options);
    context.fillStyle = fill;
    context.textAlign = options.align ?? "left";
    context.textBaseline = "middle";
    context.fillText(options.width === undefined ? words : cut(words, options.width, options.size ?? SIZE), x, y);
  }

  clip(x: number, y: number, w: number, h: number, draw: () => void): void {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, w, h);
    this.context.clip();
    draw();
    this.context.restore();
  }
}

/** By the usual width of a letter: measuring each label in each frame costs more than it brings. Names of pods differ at
 *  their end, so the middle goes. */
function cut(words: string, width: number, size: number): string {
  const most = Math.floor(width / (size * 0.6));
  if (words.length <= most) return words;
  const end = Math.min(6, most >> 2);
  return `${words.slice(0, Math.max(1, most - end - 1))}…${words.slice(words.length - end)}`;
}

export class SvgPen implements Pen {
  private readonly parts: string[] = [];
  private readonly hatches = new Map<string, string>();
  private clips = 0;

  rect(x: number, y: number, w: number, h: number, fill: string): void {
    this.parts.push(`<rect x="${r(x)}" y="${r(y)}" width="${r(w)}" height="${r(h)}" fill="${fill}"/>`);
  }

  hatch(x: number, y: number, w: number, h: number, stroke: string): void {
    let id = this.hatches.get(stroke);
    if (!id) {
      id = `h${this.hatches.size}`;
      this.hatches.set(stroke, id);
    }
    this.rect(x, y, w, h, `url(#${id})`);
  }

  line(x1: number, y1: number, x2: number, y2: number, stroke: string): void {
    this.parts.push(`<line x1="${r(x1)}" y1="${r(y1)}" x2="${r(x2)}" y2="${r(y2)}" stroke="${stroke}"/>`);
  }

  polygon(points: readonly number[], fill: string, stroke?: string): void {
    this.parts.push(`<polygon points="${points.map(r).join(" ")}" fill="${fill}"${edge(stroke)}/>`);
  }

  circle(x: number, y: number, radius: number, fill: string, stroke?: string): void {
    this.parts.push(`<circle cx="${r(x)}" cy="${r(y)}" r="${r(radius)}" fill="${fill}"${edge(stroke)}/>`);
  }

  text(x: number, y: number, words: string, fill: string, options: TextOptions = {}): void {
    const anchor = { left: "start", center: "middle", right: "end" }[options.align ?? "left"];
    const weight = options.bold ? ' font-weight="600"' : "";
    const size = options.size ?? SIZE;
    const shown = options.width === undefined ? words : cut(words, options.width, size);
    this.parts.push(
      `<text x="${r(x)}" y="${r(y)}" fill="${fill}" font-size="${size}"${weight} text-anchor="${anchor}" ` +
        `dominant-baseline="central">${escaped(shown)}</text>`,
    );
  }

  clip(x: number, y: number, w: number, h: number, draw: () => void): void {
    const id = `c${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><rect x="${r(x)}" y="${r(y)}" width="${r(w)}" height="${r(h)}"/></clipPath>`);
    this.parts.push(`<g clip-path="url(#${id})">`);
    draw();
    this.parts.push("</g>");
  }

  document(width: number, height: number): string {
    const patterns = [...this.hatches].map(
      ([stroke, id]) =>
        `<pattern id="${id}" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" stroke="${stroke}" ` +
        `stroke-width="1.4"/></pattern>`,
    );
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="${escaped(FAMILY)}"><defs>${patterns.join("")}</defs>${this.parts.join("\n")}</svg>`
    );
  }
}

function edge(stroke?: string): string {
  return stroke ? ` stroke="${stroke}" stroke-width="1.5"` : "";
}

function r(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
