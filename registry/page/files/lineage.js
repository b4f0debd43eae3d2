// Which version was made from which: the lines beside the list of versions.

import { s } from "./dom.js";

const lane = 15; // between lines
const most = 9; // lines that have room

/**
 * lanes says for every version, the newest first, where its dot is, which lines pass,
 * which end in it from above, and whether one goes on below.
 */
export function lanes(versions) {
	const known = new Set(versions.map((v) => v.digest));
	const open = []; // line → the version that it leads to
	return versions.map((v) => {
		const before = [...open];
		const ends = before.flatMap((to, i) => to === v.digest ? [i] : []);
		let at = ends[0];
		if (at === undefined) {
			at = open.findIndex((to) => to === undefined);
			if (at < 0) at = open.length;
		}
		for (const i of ends) open[i] = undefined;
		open[at] = v.parent && known.has(v.parent) ? v.parent : undefined;
		const down = open[at] !== undefined;
		while (open.length > 0 && open.at(-1) === undefined) open.pop();
		const passing = before.flatMap((to, i) => to !== undefined && to !== v.digest ? [i] : []);
		return { at, ends, passing, down };
	});
}

/** width of the picture beside the rows. */
export const width = (rows) => lane * Math.min(most, 1 + Math.max(0, ...rows.flatMap((r) => [r.at, ...r.passing])));

/** picture draws the lines of one row of a height. */
export function picture(row, wide, height, tagged) {
	const x = (i) => lane / 2 + lane * Math.min(i, most - 1);
	const middle = height / 2;
	const line = (i, d) => s("path", { class: `line l${i % 6}`, d });
	return s("svg", { width: wide, height, class: "lines", "aria-hidden": "true" },
		row.passing.map((i) => line(i, `M${x(i)} 0V${height}`)),
		row.ends.map((i) => line(i, i === row.at ? `M${x(i)} 0V${middle}` : `M${x(i)} 0C${x(i)} ${middle} ${x(row.at)} ${middle * 0.4} ${x(row.at)} ${middle}`)),
		row.down ? line(row.at, `M${x(row.at)} ${middle}V${height}`) : null,
		s("circle", { class: `dot l${row.at % 6}${tagged ? " tagged" : ""}`, cx: x(row.at), cy: middle, r: tagged ? 5 : 3.5 }));
}
