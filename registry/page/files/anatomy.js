// Arranges a model's layers for the map: runs of like blocks side by side, in every
// block the tensors of one role at one height. It knows no pixels.

/**
 * A share says where bytes come from: from versions (index → bytes), changed, or new. Of
 * what has changed, heats has the bytes by the degree to which they differ; the last of
 * it is what is stored whole, of which nobody knows.
 */
function share() {
	return { bytes: 0, from: [], changed: 0, known: 0, differs: 0, fresh: 0, tensors: 0, parts: [], heats: [] };
}

/** Adds a layer or a part of one. */
function count(into, p) {
	into.bytes += p.bytes;
	(p.shared ?? []).forEach((n, i) => { into.from[i] = (into.from[i] ?? 0) + n; });
	into.changed += p.changed;
	into.fresh += p.new;
	into.tensors += p.tensors ?? 0;
	into.parts.push(p);
	for (const q of p.parts?.length ? p.parts : [p]) {
		const known = q.values === undefined ? 0 : Math.min(q.changed, q.delta?.bytes ?? 0);
		warm(into, known, q.values * known);
		if (q.changed > known) into.heats[unknown] = (into.heats[unknown] ?? 0) + q.changed - known;
	}
	return into;
}

function warm(into, known, differs) {
	if (known === 0) return;
	into.known += known;
	into.differs += differs;
	const d = degrees.findIndex((top) => differs / known < top);
	into.heats[d] = (into.heats[d] ?? 0) + known;
}

/** whole adds up parts of layers, or layers. */
export const whole = (parts) => parts.reduce(count, share());

/** heat is which part of the numbers of the changed bytes differs, as far as it is known, 0 to 1. */
export const heat = (sum) => sum.known > 0 ? sum.differs / sum.known : 0;

/** degrees are the steps of the scale of heat, by the upper end of each. */
export const degrees = [0.002, 0.01, 0.05, 0.2, 0.5, Infinity];

/** unknown is the step behind them: changed, and how much nobody knows. */
export const unknown = degrees.length;

const plain = /^(\*|weight|bias|layer|self|block|module|base_layer|default|dense|fc|linear|wi|wo)$/;

// What models call the parts of a block, and what people do, in the order in which data
// goes through them.
const roles = [
	["qkv", /(^|\.)(qkv|qkv_proj|query_key_value|attn_qkv|c_attn|in_proj_weight)(\.|$)/],
	["q", /(^|\.)(q|wq|q_proj|query|attn_q)(\.|$)/],
	["k", /(^|\.)(k|wk|k_proj|key|attn_k)(\.|$)/],
	["v", /(^|\.)(v|wv|v_proj|value|attn_v)(\.|$)/],
	["o", /(^|\.)(o|o_proj|out_proj|attn_output|attention\.output|attn\.c_proj|attention\.dense|attention\.wo|self_attention\.dense)(\.|$)/],
	["router", /(^|\.)(router|ffn_gate_inp|moe\.gate|block_sparse_moe\.gate)(\.|$)/],
	["gate", /(^|\.)(gate|gate_proj|w1|ffn_gate|ffn_gate_exps)(\.|$)/],
	["gate, up", /(^|\.)(gate_up|gate_up_proj)(\.|$)/],
	["up", /(^|\.)(up|up_proj|w3|ffn_up|ffn_up_exps|fc1|c_fc|dense_h_to_4h|intermediate)(\.|$)/],
	["down", /(^|\.)(down|down_proj|w2|ffn_down|ffn_down_exps|fc2|mlp\.c_proj|dense_4h_to_h|output)(\.|$)/],
];

// The scales of norms are no parts that data is multiplied with.
const norm = /norm|(^|[._])ln(_|\d|\.|$)/i;

/** rank is the place of a role in its block; those that nobody knows follow, norms are last. */
function rank(name) {
	if (norm.test(name)) return roles.length + 1;
	const at = roles.findIndex(([, names]) => names.test(name));
	return at < 0 ? roles.length : at;
}

/** label is what a person calls a role: "self_attn.q_proj.weight" is "q". */
export function label(name) {
	if (norm.test(name)) return "norm";
	const known = roles[rank(name)];
	if (known) return known[0];
	const words = name.split(".").filter((w) => !plain.test(w));
	const last = words.at(-1) ?? name;
	return last.replace(/_?(proj|projection|weight)$/, "") || last;
}

// What is smaller than this part of its block is gathered in one cell.
const small = 0.001;

/**
 * sections are runs of layers: blocks that are alike ({ blocks: true, roles, columns }),
 * or layers that stand alone. A column has a cell for every role, in their order.
 */
export function sections(layers) {
	const runs = [];
	for (const layer of layers) {
		const kind = layer.kind === "layer" && layer.parts?.length ? layer.name.replace(/\d+(?!.*\d)/, "*") : null;
		const last = runs.at(-1);
		if (kind !== null && last?.kind === kind) last.layers.push(layer);
		else runs.push({ kind, layers: [layer] });
	}
	return runs.map((run) => section(run.layers, run.kind !== null));
}

function section(layers, blocks) {
	const sizes = new Map(); // role → the most bytes that a layer has of it
	for (const layer of layers) {
		const own = new Map();
		for (const t of layer.parts ?? []) own.set(t.name, (own.get(t.name) ?? 0) + t.bytes);
		for (const [r, n] of own) sizes.set(r, Math.max(sizes.get(r) ?? 0, n));
	}
	const total = [...sizes.values()].reduce((a, b) => a + b, 0);
	const big = [...sizes].filter(([, n]) => n >= small * total);
	big.sort(([a], [b]) => rank(a) - rank(b));
	const rest = [...sizes].filter(([, n]) => n < small * total);
	const roles = big.map(([name, n]) => ({ name, bytes: n, label: label(name), of: (r) => r === name }));
	if (rest.length > 0) {
		const names = new Set(rest.map(([name]) => name));
		roles.push({
			name: rest.length === 1 ? rest[0][0] : "norms, biases and the like",
			bytes: rest.reduce((sum, [, n]) => sum + n, 0),
			label: rest.length === 1 ? label(rest[0][0]) : rest.every(([name]) => norm.test(name)) ? "norms" : "rest",
			of: (r) => names.has(r),
		});
	}
	const columns = layers.map((layer) => ({
		layer,
		cells: roles.map((r) => whole((layer.parts ?? []).filter((t) => r.of(t.name)))),
	}));
	return { blocks, roles, columns, bytes: total };
}

/** heights of roles: by their bytes, none less than least, together full. */
export function heights(roles, full, least) {
	const total = roles.reduce((sum, r) => sum + r.bytes, 0) || 1;
	let free = full;
	let weight = total;
	const small = new Set();
	for (let again = true; again;) { // those that would be too low take the least, the others the rest
		again = false;
		for (const r of roles) {
			if (!small.has(r) && r.bytes / weight * free < least) {
				small.add(r);
				free -= least;
				weight -= r.bytes;
				again = true;
			}
		}
	}
	return roles.map((r) => small.has(r) ? least : r.bytes / weight * free);
}
