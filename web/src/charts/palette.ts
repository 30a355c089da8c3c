/** Colours of the page that drawings need, read from its style sheet. */

export interface Palette {
  text: string;
  soft: string;
  line: string;
  ground: string;
  shade: string;
  alarm: string;
  accent: string;
  font: string;
}

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: read("--text"),
    soft: read("--soft"),
    line: read("--line"),
    ground: read("--card"),
    shade: read("--shade"),
    alarm: read("--alarm"),
    accent: read("--accent"),
    font: read("--font"),
  };
}

export const axisStyle = (palette: Palette) => ({
  axisLine: { lineStyle: { color: palette.line } },
  axisTick: { lineStyle: { color: palette.line } },
  axisLabel: { color: palette.soft, fontFamily: palette.font, fontSize: 11 },
  nameTextStyle: { color: palette.soft, fontFamily: palette.font, fontSize: 11 },
  splitLine: { lineStyle: { color: palette.line, opacity: 0.6 } },
});
