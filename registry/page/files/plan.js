// Says where the cells of the map lie. Along is the way through the model, across the
// way through a block; on a narrow page the model goes down, else to the right.

import { heights, whole } from "./anatomy.js";

const gap = 1.5; // between cells
const apart = 9; // between sections
const room = { least: 3.5, most: 160 }; // of a block, along

/**
 * plan returns { cells: [{ x, y, w, h, sum, layer, role, column, row }], labels, columns,
 * width, height } for the sections of a model. A column is what can be walked over.
 */
export function plan(sections, width, upright) {
	const labels = [];
	const margin = upright ? { along: 4, across: 47 } : { along: 0, across: 0 };
	const depth = upright ? width - margin.across : Math.min(340, Math.max(220, width * 0.3));
	const spots = sections.map((section) => ({ section, label: !section.blocks ? 0 : upright ? 14 : 52 }));
	const fixed = spots.reduce((sum, s) => sum + s.label + apart, -apart);
	const blocks = sections.filter((s) => s.blocks);
	const count = blocks.reduce((sum, s) => sum + s.columns.length, 0);
	const typical = Math.max(1, ...blocks.map((s) => s.bytes));
	const units = spots.map(({ section }) => section.blocks ? section.columns.length
		: Math.min(Math.max(0.4, whole([section.columns[0].layer]).bytes / typical), Math.max(1.2, count * 0.16)));
	const all = units.reduce((a, b) => a + b, 0);
	const free = upright ? Infinity : width - fixed;
	const unit = upright ? Math.min(26, Math.max(12, 900 / all)) : Math.min(room.most, Math.max(room.least, free / all));

	const cells = [];
	const columns = [];
	const boxes = []; // of the sections
	let along = margin.along;
	spots.forEach(({ section, label }, i) => {
		along += label;
		const start = along;
		const size = section.blocks ? unit : Math.max(6, unit * units[i]);
		const across = heights(section.roles.length ? section.roles : [{ bytes: 1 }], depth, section.blocks ? 12 : 3);
		if (section.blocks) name(labels, section, across, along, margin, upright);
		section.columns.forEach((column) => {
			let down = margin.across;
			const from = along;
			const sums = column.cells.length ? column.cells : [whole([column.layer])];
			const own = section.blocks ? across : heights(section.roles.length ? section.roles : [{ bytes: 1 }], depth, section.blocks ? 12 : 3);
			columns.push({ section, layer: column.layer, from, size, first: cells.length, count: sums.length });
			sums.forEach((sum, row) => {
				const box = upright
					? { x: down, y: along, w: own[row] - gap, h: size - gap }
					: { x: along, y: down, w: size - Math.min(gap, size / 4), h: own[row] - gap };
				cells.push({ ...box, section: i, sum, layer: column.layer, role: section.roles[row], column: columns.length - 1, row });
				down += own[row];
			});
			along += size;
		});
		const extent = along - start - Math.min(gap, size / 4);
		boxes.push(upright ? { x: margin.across, y: start, w: depth - gap, h: extent } : { x: start, y: margin.across, w: extent, h: depth - gap });
		along += apart;
	});
	along -= apart;
	mark(labels, columns, unit, depth, margin, upright);
	return upright
		? { cells, columns, boxes, labels, width, height: along + 4, depth }
		: { cells, columns, boxes, labels, width: Math.max(along, 1), height: depth + 24, depth };
}

/** Names the roles of blocks beside them. */
function name(labels, section, across, along, margin, upright) {
	let down = margin.across;
	section.roles.forEach((role, row) => {
		const size = across[row];
		const wide = role.label.length * 6.4 + 4;
		if (upright ? size >= Math.min(wide, 34) : size >= 10) {
			labels.push(upright
				? { x: down + size / 2, y: along - 7, text: cut(role.label, size / 6.4), anchor: "middle" }
				: { x: along - 8, y: down + size / 2 - gap / 2, text: cut(role.label, 8), anchor: "end", middle: true });
		}
		down += size;
	});
}

/** Numbers the blocks, as many as have room, and names the layers that stand alone. */
function mark(labels, columns, unit, depth, margin, upright) {
	const every = [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 100].find((n) => n * unit >= (upright ? 13 : 26)) ?? 200;
	for (const c of columns) {
		const middle = c.from + (c.size - gap) / 2;
		if (c.section.blocks) {
			if (c.layer.index % every !== 0) continue;
			labels.push(upright ? { x: margin.across - 8, y: middle, text: c.layer.index, anchor: "end", middle: true }
				: { x: middle, y: depth + 15, text: c.layer.index, anchor: "middle" });
		} else if (!upright && c.size >= 30) {
			labels.push({ x: middle, y: depth + 15, text: cut(word(c.layer), c.size / 6.2), anchor: "middle" });
		} else if (upright && c.size >= 12) {
			labels.push({ x: margin.across - 8, y: middle, text: cut(word(c.layer), 5), anchor: "end", middle: true });
		}
	}
}

const words = { embedding: "embed", norm: "norm", head: "head" };

function word(layer) {
	return words[layer.kind] ?? layer.name;
}

function cut(text, most) {
	const n = Math.max(1, Math.floor(most));
	return text.length <= n ? text : n < 3 ? text.slice(0, n) : `${text.slice(0, n - 1)}…`;
}
