// The nodes: what their tiers hold, and what changes while one looks.

import { h, put } from "../dom.js";
import { ask, get } from "../api.js";
import * as places from "../places.js";
import { ago, bytes, count, many, moment, percent, short, split } from "../words.js";

const pause = 2000; // ms between questions, while the page is seen
const kept = 60; // news that stay in the list
const tiers = [["gpu", "GPU"], ["ram", "RAM"], ["disk", "disk"]];

export async function nodes({ signal }) {
	let last = await get("v1/nodes");
	const grid = h("div", { class: "nodes" });
	const news = h("ol", { class: "news", "aria-live": "polite" });
	const live = h("span", { class: "live" }, "live");
	const draw = (fresh) => put(grid, last.nodes.length ? last.nodes.map((n) => card(n, fresh)) : none());
	const tell = (text, kind) => {
		news.prepend(h("li", { class: kind }, h("time", {}, new Date().toLocaleTimeString()), " ", text));
		while (news.childElementCount > kept) news.lastElementChild.remove();
	};
	draw(new Set());
	watch(signal, async () => {
		const next = await ask("v1/nodes").catch(() => null);
		live.classList.toggle("lost", next === null);
		if (!next || signal.aborted) return;
		const fresh = new Set();
		for (const change of changes(last.nodes, next.nodes)) {
			fresh.add(change.key);
			tell(change.text, change.kind);
		}
		last = next;
		draw(fresh);
	});
	listen(signal, (e) => tell(e.digest === "" ? [h("b", {}, `${e.repo}:${e.tag}`), " was removed"]
		: [h("b", {}, `${e.repo}:${e.tag}`), " is ", h("a", { href: places.version(e.repo, e.digest) }, short(e.digest)), " now"], "tagged"));
	return h("div", {}, h("div", { class: "bar" }, h("h1", {}, "Nodes"), live), grid,
		h("section", {}, h("h2", {}, "News"), h("p", { class: "soft first" }, "Loads, swaps and tags that move are told here as they happen."), news));
}

/** watch calls f now and then, while the page is seen. */
async function watch(signal, f) {
	while (!signal.aborted) {
		await new Promise((r) => { const t = setTimeout(r, pause); signal.addEventListener("abort", () => { clearTimeout(t); r(); }); });
		if (!signal.aborted && document.visibilityState === "visible") await f();
	}
}

function listen(signal, tell) {
	const events = new EventSource(new URL("v1/events?match=*", places.root));
	signal.addEventListener("abort", () => events.close());
	events.addEventListener("tag", (e) => {
		try {
			tell(JSON.parse(e.data));
		} catch { /* not of this registry's words: nothing to tell */ }
	});
}

/** changes tells what is different, by what nodes have reported before and now. */
export function* changes(before, now) {
	const old = new Map(before.map((n) => [n.name, n]));
	for (const node of now) {
		const was = old.get(node.name);
		old.delete(node.name);
		if (!was) {
			yield { key: node.name, kind: "up", text: [h("b", {}, node.name), " is here"] };
			continue;
		}
		const held = new Map(was.models.map((m) => [m.ref, m]));
		for (const m of node.models) {
			const had = held.get(m.ref);
			held.delete(m.ref);
			const key = `${node.name} ${m.ref}`;
			if (!had) yield { key, kind: "up", text: [h("b", {}, node.name), " holds ", h("b", {}, m.ref), ` in ${m.tier}`] };
			else if (had.version !== m.version) yield { key, kind: "swap", text: [h("b", {}, node.name), " swapped ", h("b", {}, m.ref), ` from ${short(had.version)} to ${short(m.version)}`] };
			else if (had.tier !== m.tier) yield { key, kind: "move", text: [h("b", {}, node.name), " moved ", h("b", {}, m.ref), ` from ${had.tier} to ${m.tier}`] };
		}
		for (const ref of held.keys()) yield { key: `${node.name} ${ref}`, kind: "down", text: [h("b", {}, node.name), " dropped ", h("b", {}, ref)] };
	}
	for (const name of old.keys()) yield { key: name, kind: "down", text: [h("b", {}, name), " has not reported any more"] };
}

function card(node, fresh) {
	return h("article", { class: fresh.has(node.name) ? "node fresh" : "node" },
		h("header", {}, h("h2", {}, node.name), h("span", { class: "soft", title: moment(node.seen) }, ago(node.seen))),
		h("p", { class: "soft" }, [node.address, node.program].filter(Boolean).join(" · ")),
		tiers.map(([key, text]) => gauge(node.tiers[key], text, key)),
		node.models.length ? h("ul", { class: "residents" }, [...node.models].sort(byTier).map((m) => resident(node, m, fresh))) : h("p", { class: "soft" }, "holds nothing"));
}

const rank = (m) => { const at = tiers.findIndex(([key]) => key === m.tier); return at < 0 ? tiers.length : at; };
const byTier = (a, b) => rank(a) - rank(b) || (a.ref < b.ref ? -1 : 1);

function gauge(t, text, key) {
	if (t.budget === 0 && t.used === 0) return null;
	const full = Math.max(t.budget, t.used) || 1;
	const orphaned = t.orphaned ?? 0;
	const files = t.files_bytes ?? 0;
	const part = (kind, n) => n > 0 ? h("i", { class: kind, style: { "flex-grow": String(n / full) } }) : null;
	return h("div", { class: "gauge" },
		h("span", {}, text),
		h("span", { class: "strip", role: "meter", "aria-label": `${text} used`, "aria-valuemin": 0, "aria-valuemax": full, "aria-valuenow": t.used },
			part(key, t.used - orphaned - files), part("files", files), part("orphaned", orphaned), h("i", { class: "free", style: { "flex-grow": String((full - t.used) / full) } })),
		h("span", { class: "n" }, `${bytes(t.used)} of ${bytes(t.budget)}`),
		t.limit ? h("small", { class: "soft" }, `${count(t.models)} of ${many(t.limit, "model")}`) : null,
		orphaned ? h("small", { class: "soft" }, `${bytes(orphaned)} kept by clients of a former agent (${percent(orphaned, full)})`) : null);
}

function resident(node, m, fresh) {
	const { repo } = split(m.ref);
	return h("li", { class: fresh.has(`${node.name} ${m.ref}`) ? "fresh" : null },
		h("span", { class: `tier ${["gpu", "ram", "disk"].includes(m.tier) ? m.tier : "none"}` }, m.tier),
		h("a", { href: places.version(repo, m.version), "data-row": true }, m.ref),
		h("code", { class: "soft", title: m.version }, m.version.slice(0, 7)),
		m.leases ? h("span", { class: "soft" }, many(m.leases, "lease")) : null);
}

const none = () => h("section", { class: "failed" }, h("p", {}, "No node has reported. An agent does so by itself once it knows the registry:"),
	h("pre", {}, h("code", {}, `ingot agent --registry ${places.root.href.replace(/\/$/, "")}`)));
