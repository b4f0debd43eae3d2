// Numbers, times and names as people read them.

const units = ["B", "KB", "MB", "GB", "TB", "PB"];

/** bytes: 15728640 is "15.7 MB", three figures and powers of 1000 as the program has them. */
export function bytes(n) {
	let i = 0;
	let v = n;
	while (v >= 999.5 && i < units.length - 1) { v /= 1000; i++; }
	return `${i === 0 || v >= 99.95 ? Math.round(v) : v.toFixed(1)} ${units[i]}`;
}

/** count: 12345 is "12,345". */
export const count = (n) => n.toLocaleString("en-US");

/** many: 1 "version", 2 "versions". */
export const many = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** percent of a whole, with a decimal where that says something. */
export function percent(part, whole) {
	if (!whole) return "0 %";
	const p = 100 * part / whole;
	if (p === 0 || p >= 99.95 && part === whole) return `${Math.round(p)} %`;
	if (p < 0.1) return "< 0.1 %";
	if (p > 99.9) return "> 99.9 %";
	return `${p < 10 || p > 90 ? p.toFixed(1) : Math.round(p)} %`;
}

/** short is how a digest is shown where a person need not copy it. */
export const short = (digest) => digest.slice(0, 10);

const steps = [[60, "second"], [60, "minute"], [24, "hour"], [30.4, "day"], [12, "month"], [Infinity, "year"]];

/** ago: "3 hours ago". */
export function ago(iso, now = Date.now()) {
	let v = Math.max(0, (now - Date.parse(iso)) / 1000);
	if (Number.isNaN(v)) return "";
	if (v < 10) return "just now";
	for (const [size, word] of steps) {
		if (v < size) return `${many(Math.floor(v), word)} ago`;
		v /= size;
	}
	return "";
}

/** moment is a time in full, for titles. */
export function moment(iso) {
	const t = new Date(iso);
	return Number.isNaN(t.getTime()) ? "" : t.toLocaleString();
}

/** figure: a metric such as "0.02318000" in four figures; what is no number stays. */
export function figure(text) {
	const v = Number(text);
	return text === "" || !Number.isFinite(v) ? text : String(Number(v.toPrecision(4)));
}

/** split: "acme/llama:prod" and "acme/llama@digest" in their parts. */
export function split(ref) {
	const at = ref.indexOf("@");
	if (at >= 0) return { repo: ref.slice(0, at), digest: ref.slice(at + 1) };
	const colon = ref.indexOf(":");
	return colon >= 0 ? { repo: ref.slice(0, colon), tag: ref.slice(colon + 1) } : { repo: ref };
}
