"use strict";
// Draws the document below: a finder on the left, what was chosen on the right. Everything is found by walking arrays;
// nothing is drawn before somebody looks at it, so that ten thousand records are as quick as ten. All text goes in as text.
(() => {
  const data = JSON.parse(document.getElementById("document").textContent);
  const { words, digests, records, reports } = data;
  const W = (place) => words[place];
  const $ = (id) => document.getElementById(id);
  const [DIGEST, TIME, KIND, STAGE, ACTOR, PHASE, COMPONENT, TEST, RUN, NOTE, RESTS, OUTPUTS] = records.length ? records[0].keys() : [];
  const [FIGURE, TEXT, UNIT, SECTION, F_COMPONENT, F_TEST, F_RUN, VERDICT, RELIANCE, SCOPE, TITLE, INTERVAL, SAMPLES, METHOD, STANDING, METRIC, REQUIREMENT, EVIDENCE] = Array(18).keys();
  const SECTIONS = ["outcome", "observations", "end_to_end", "components", "tests", "behaviour"];
  const LOOKS = { "proved": ["good", "✔"], "not proved": ["bad", "✘"], "inconclusive": ["open", "?"] };
  const COMPUTED = new Set(["declared", "derived", "relied", "observed", "reported"]);

  // --- the graph: records are nodes 0…R-1, figures R…R+F-1, artefacts (a digest as one record made it) come after ---
  const R = records.length, figures = [], artefacts = [], byDigest = new Map();
  const recordOf = new Int32Array(digests.length).fill(-1), produced = new Int32Array(digests.length).fill(-1);
  const rests = [], outs = [], users = new Map(), reportAt = new Map();
  records.forEach((record, index) => { recordOf[record[DIGEST]] = index; });
  for (const report of reports) {
    report.index = report.record - data.first;
    reportAt.set(report.index, report);
    report.from = figures.length;
    for (const figure of report.figures) figures.push({ report, figure });
  }
  const F = figures.length, FIRST = R + F;
  const artefact = (digest, producer) => {
    let known = byDigest.get(digest);
    if (!known) byDigest.set(digest, known = []);
    let node = known.find((each) => artefacts[each - FIRST].producer === producer);
    if (node === undefined) { node = FIRST + artefacts.length; artefacts.push({ digest, producer, role: "" }); known.push(node); }
    return node;
  };
  const use = (node, role, user) => { const list = users.get(node); if (list) list.push([role, user]); else users.set(node, [[role, user]]); };
  const known = (digest) => (recordOf[digest] >= 0 ? recordOf[digest] : artefact(digest, produced[digest]));
  const ground = (report) => report.figures.forEach((figure, place) => {
    const node = R + report.from + place;
    rests[node] = figure[EVIDENCE].map((digest) => ["evidence", known(digest)]);
    for (const [, source] of rests[node]) use(source, "figure", node);
  });
  for (const report of reports) if (report.index < 0) ground(report);
  records.forEach((record, index) => {
    if (reportAt.has(index)) ground(reportAt.get(index));
    const mine = rests[index] = [];
    for (let at = 0; at < record[RESTS].length; at += 2) {
      const role = W(record[RESTS][at]), node = known(record[RESTS][at + 1]);
      if (node >= FIRST && !artefacts[node - FIRST].role) artefacts[node - FIRST].role = role;
      mine.push([role, node]);
      use(node, role, index);
    }
    outs[index] = [];
    for (let at = 0; at < record[OUTPUTS].length; at += 2) {
      const node = artefact(record[OUTPUTS][at + 1], index);
      artefacts[node - FIRST].role = W(record[OUTPUTS][at]);
      produced[record[OUTPUTS][at + 1]] = index;
      outs[index].push([W(record[OUTPUTS][at]), node]);
    }
  });
  const ALL = FIRST + artefacts.length;
  const isRecord = (node) => node < R, isFigure = (node) => node >= R && node < FIRST;
  const kindOf = (node) => (isRecord(node) ? "record" : isFigure(node) ? "figure" : "artefact");
  const figureAt = (node) => figures[node - R], artefactAt = (node) => artefacts[node - FIRST];
  const sequence = (index) => index + data.first;
  const up = (node) => (isRecord(node) || isFigure(node) ? rests[node] || [] : artefactAt(node).producer >= 0 ? [["", artefactAt(node).producer]] : []);
  const down = (node) => {
    if (isFigure(node)) { const { report } = figureAt(node); return report.index >= 0 ? [["claimed", report.index]] : []; }
    const mine = users.get(node) || [], shown = mine.filter(([, each]) => isFigure(each)), used = mine.filter(([, each]) => !isFigure(each));
    return isRecord(node) ? [...used, ...outs[node], ...shown] : [...used, ...shown];
  };
  const closure = (node, way) => {
    const seen = new Set(), pending = [node];
    while (pending.length) for (const [, next] of way(pending.pop())) if (!seen.has(next)) { seen.add(next); pending.push(next); }
    return seen;
  };
  const withdrawn = new Map(data.withdrawn.map(([digest, by, itself]) => [digest, { by, itself }]));
  const absent = new Set(data.absent);
  const taint = (node) => {
    if (isRecord(node)) return withdrawn.get(records[node][DIGEST]);
    if (!isFigure(node)) return withdrawn.get(artefactAt(node).digest);
    const found = figureAt(node).figure[EVIDENCE].find((digest) => withdrawn.has(digest));
    return found === undefined ? undefined : { by: withdrawn.get(found).by, itself: 0 };
  };

  // --- what filters go by ---
  const verdictsOf = new Map(), relianceOf = new Map();
  const gather = (map, run, value) => { if (run && value) { if (!map.has(run)) map.set(run, new Set()); map.get(run).add(value); } };
  for (const { figure } of figures) if (W(figure[SECTION]) === "observations") {
    gather(verdictsOf, figure[F_RUN], W(figure[VERDICT]));
    gather(relianceOf, figure[F_RUN], W(figure[RELIANCE]));
  }
  const NONE = new Set();
  const facet = (node, name) => {
    if (isFigure(node)) {
      const { report, figure } = figureAt(node);
      return { phase: [report.phase], component: [W(figure[F_COMPONENT])], verdict: [W(figure[VERDICT])], reliance: [W(figure[RELIANCE])], part: [W(figure[SECTION])] }[name];
    }
    const index = isRecord(node) ? node : artefactAt(node).producer;
    if (name === "part" && !isRecord(node)) return [plainRole(artefactAt(node).role)];
    if (index < 0) return [];
    const record = records[index], kind = W(record[KIND]);
    switch (name) {
      case "phase": return [W(record[PHASE])];
      case "component": return [W(record[COMPONENT])];
      case "verdict": return verdictsOf.get(record[RUN]) || NONE;
      case "reliance": return record[RUN] && relianceOf.has(record[RUN]) ? relianceOf.get(record[RUN]) : LABELS.has(kind) ? [kind] : [];
      default: return [W(record[STAGE])];
    }
  };
  const LABELS = new Set(["executed", "received", "relied"]);
  const plainRole = (role) => role.split(":")[0];

  // --- names ---
  const short = (digest) => digests[digest].slice(0, 16);
  const clock = (time) => time.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  const told = (node) => {
    if (isRecord(node)) {
      const record = records[node], about = W(record[RUN]) || W(record[TEST]);
      const said = W(record[KIND]) === W(record[STAGE]) ? W(record[STAGE]) : `${W(record[KIND])} by ${W(record[STAGE])}`;
      return { name: about ? `${said}: ${about}` : said, sub: `record ${sequence(node)} · ${clock(record[TIME])}`, value: "", brief: `record ${sequence(node)}` };
    }
    if (isFigure(node)) {
      const { report, figure } = figureAt(node), title = W(figure[TITLE]);
      return { name: title || W(figure[FIGURE]), sub: `${report.phase} · ${title ? W(figure[FIGURE]) : W(figure[SECTION]).replaceAll("_", " ")}`, value: W(figure[TEXT]), brief: W(figure[FIGURE]) };
    }
    const { digest, producer, role } = artefactAt(node), run = producer >= 0 ? W(records[producer][RUN]) || W(records[producer][TEST]) : "";
    const made = producer >= 0 ? `from record ${sequence(producer)}` : "from no record shown here";
    return { name: role ? (run ? `${role} of ${run}` : role) : "artefact", sub: `${short(digest)} · ${made}`, value: "", brief: role || short(digest) };
  };
  const address = (node) => {
    const query = new URLSearchParams();
    if (isRecord(node)) query.set("record", sequence(node));
    else if (isFigure(node)) {
      query.set("figure", W(figureAt(node).figure[FIGURE]));
      if (figureAt(node).report.phase !== data.phase) query.set("phase", figureAt(node).report.phase);
    } else {
      query.set("artefact", digests[artefactAt(node).digest]);
      if (artefactAt(node).producer >= 0) query.set("of", sequence(artefactAt(node).producer));
    }
    return `#${query}`;
  };
  const placeOf = new Map(digests.map((digest, place) => [digest, place]));
  const lookUp = (query) => {
    if (query.has("record")) { const index = Number(query.get("record")) - data.first; return index >= 0 && index < R ? index : -1; }
    if (query.has("figure")) {
      const phase = query.get("phase") || data.phase, id = query.get("figure");
      const found = figures.findIndex(({ report, figure }) => report.phase === phase && W(figure[FIGURE]) === id);
      return found < 0 ? -1 : R + found;
    }
    const digest = query.get("artefact") || "", place = placeOf.get(digest);
    if (place === undefined) return -1;
    if (recordOf[place] >= 0) return recordOf[place];
    const made = byDigest.get(place) || [], of = Number(query.get("of")) - data.first;
    return made.find((node) => artefactAt(node).producer === of) ?? made[made.length - 1] ?? -1;
  };

  // --- small parts of the page ---
  const make = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const glyph = (node) => make("span", { class: `glyph ${kindOf(node)}`, "aria-hidden": "true" });
  const badge = (word) => { const [look, sign] = LOOKS[word] || ["plain", ""]; return make("span", { class: `badge ${look}` }, sign ? `${sign} ${word}` : word); };
  const say = (text) => { $("said").textContent = text; };
  const count = (number) => number.toLocaleString("en");
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
  const link = (node, text) => make("a", { href: address(node) }, text);

  // --- the finder ---
  const ROW = 56, ids = { figure: [], record: [], artefact: [] };
  const rank = (node) => { const { report, figure } = figureAt(node), place = SECTIONS.indexOf(W(figure[SECTION])); return (report.phase === data.phase ? 0 : 100) + (place < 0 ? 50 : place); };
  for (let node = R; node < FIRST; node++) ids.figure.push(node);
  ids.figure.sort((one, other) => rank(one) - rank(other) || one - other);
  for (let node = R - 1; node >= 0; node--) ids.record.push(node);
  for (let node = FIRST; node < ALL; node++) ids.artefact.push(node);
  const hay = new Array(ALL);
  const haystack = (node) => hay[node] ??= (() => {
    const { name, sub, value } = told(node);
    if (isRecord(node)) { const record = records[node]; return [name, sub, digests[record[DIGEST]], W(record[PHASE]), W(record[COMPONENT]), W(record[ACTOR]), W(record[NOTE])]; }
    if (!isFigure(node)) return [name, sub, digests[artefactAt(node).digest]];
    const { figure } = figureAt(node);
    return [name, sub, value, ...figure.slice(SECTION, EVIDENCE).map(W), ...figure[EVIDENCE].map((digest) => digests[digest])];
  })().join("\n").toLowerCase();

  const SELECTS = ["phase", "component", "verdict", "reliance", "part"];
  const state = { kind: "figure", words: [], filters: {}, sound: "", within: null, found: [], active: -1, shown: -1 };
  const fill = () => {
    for (const name of SELECTS) {
      const values = new Set();
      for (const node of ids[state.kind]) for (const value of facet(node, name)) if (value) values.add(value);
      const select = $(`f-${name}`), wanted = state.filters[name] || "";
      select.replaceChildren(make("option", { value: "" }, "any"), ...[...values].sort().map((value) => make("option", { value }, value)));
      select.value = values.has(wanted) ? wanted : "";
      state.filters[name] = select.value;
      select.disabled = !values.size;
    }
    $("f-part-label").textContent = { figure: "Section", record: "Stage", artefact: "Role" }[state.kind];
    $("f-sound").replaceChildren(...[["", "any"], ["sound", "not withdrawn"], ["spoilt", "withdrawn, or on what is"]].map(([value, text]) => make("option", { value }, text)));
    $("f-sound").value = state.sound;
  };
  const matches = (node) => {
    if (state.within && !state.within.nodes.has(node)) return false;
    for (const name of SELECTS) { const wanted = state.filters[name]; if (wanted && ![...facet(node, name)].includes(wanted)) return false; }
    if (state.sound && (state.sound === "spoilt") !== Boolean(taint(node))) return false;
    return state.words.every((word) => haystack(node).includes(word));
  };
  const find = () => {
    state.found = ids[state.kind].filter(matches);
    state.active = state.found.length ? 0 : -1;
    const on = SELECTS.filter((name) => state.filters[name]).length + (state.sound ? 1 : 0);
    $("filters-on").textContent = on ? `(${on} on)` : "";
    const narrowed = on || state.words.length || state.within;
    $("count").textContent = narrowed ? `${count(state.found.length)} of ${plural(ids[state.kind].length, state.kind)}` : plural(state.found.length, state.kind);
    $("clear").hidden = !(on || state.words.length);
    $("within").hidden = !state.within;
    if (state.within) $("within").firstElementChild.textContent = `Only ${state.within.told}`;
    $("spacer").style.height = `${Math.max(1, state.found.length) * ROW}px`;
    $("list").scrollTop = 0;
    drawn = "";
    drawRows();
  };
  let drawn = "";
  const drawRows = () => {
    const list = $("list"), from = Math.max(0, Math.floor(list.scrollTop / ROW) - 6), to = Math.min(state.found.length, from + Math.ceil((list.clientHeight || 600) / ROW) + 12);
    const key = `${from} ${to} ${state.active} ${state.shown} ${state.found.length}`;
    if (key === drawn) return;
    drawn = key;
    $("spacer").replaceChildren(...state.found.slice(from, to).map((node, place) => row(node, from + place)));
    if (!state.found.length) $("spacer").replaceChildren(make("div", { role: "option", class: "row", "aria-disabled": "true", "aria-selected": "false" }, make("span", { class: "sub" }, "Nothing here fits.")));
    if (state.active >= from && state.active < to) list.setAttribute("aria-activedescendant", `row-${state.active}`); else list.removeAttribute("aria-activedescendant");
  };
  const row = (node, place) => {
    const { name, sub, value } = told(node), verdict = isFigure(node) ? W(figureAt(node).figure[VERDICT]) : "", spoilt = taint(node);
    const [look, sign] = spoilt ? ["bad", "⊘"] : LOOKS[verdict] || ["", ""];
    const made = make("div", {
      role: "option", id: `row-${place}`, class: `row${place === state.active ? " active" : ""}`, "aria-selected": String(node === state.shown),
      "aria-setsize": state.found.length, "aria-posinset": place + 1, onclick: () => { state.active = place; open(node); },
    }, glyph(node), make("span", { class: "name", title: name }, name), make("span", { class: "value" }, value), make("span", { class: "sub", title: sub }, sub),
    look ? make("span", { class: `state ${look}` }, `${sign} ${spoilt ? "withdrawn" : verdict}`) : null);
    made.style.top = `${place * ROW}px`;
    return made;
  };
  const move = (place) => {
    if (!state.found.length) return;
    state.active = Math.max(0, Math.min(state.found.length - 1, place));
    const list = $("list"), top = state.active * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    drawRows();
  };
  const open = (node) => {
    if (location.hash === address(node)) show(); else location.hash = address(node);
  };
  const setKind = (kind) => { state.kind = kind; document.querySelector(`input[name=kind][value=${kind}]`).checked = true; fill(); };

  // --- what is shown on the right ---
  const trail = [];
  const whereIs = { value: data.in === "bundle" ? `${data.phase}.zip` : ".plimsoll" };
  const quoted = (text) => (/^[\w./:@%+=-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const commands = (node) => {
    const where = quoted(whereIs.value), found = [];
    const check = ["Check all evidence, offline, up to what this page was made from", `plimsoll verify ${where} --head ${data.head}`];
    if (isFigure(node)) {
      const { report, figure } = figureAt(node);
      return [["Follow this figure in the ledger itself", `plimsoll lineage ${quoted(W(figure[FIGURE]))} --phase ${quoted(report.phase)} --home ${where}`], check];
    }
    if (isRecord(node)) {
      const record = records[node];
      if (COMPUTED.has(W(record[KIND]))) found.push(["Compute this again from what it rests on, and compare", `plimsoll reperform ${where} --record ${sequence(node)}`]);
      return [...found, ["Follow this record in the ledger itself", `plimsoll lineage ${digests[record[DIGEST]]} --home ${where}`], check];
    }
    const digest = digests[artefactAt(node).digest], object = `objects/${digest.slice(0, 2)}/${digest.slice(2)}`;
    if (absent.has(artefactAt(node).digest)) return [check];
    const hash = data.in === "bundle" && /\.zip$/i.test(whereIs.value) ? `unzip -p ${where} ${object} | sha256sum` : `sha256sum ${quoted(`${whereIs.value}/${object}`)}`;
    return [[`Hash its bytes without Plimsoll: what is printed must begin with ${digest.slice(0, 16)}…`, hash], ["Follow it in the ledger itself", `plimsoll lineage ${digest} --home ${where}`], check];
  };
  const copy = async (text, button) => {
    let done = false;
    try { await navigator.clipboard.writeText(text); done = true; } catch {
      const area = make("textarea", { class: "hidden", "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      try { done = document.execCommand("copy"); } catch { done = false; }
      area.remove();
      button.focus();
    }
    button.textContent = done ? "Copied" : "Select it by hand";
    say(done ? "Copied" : "It could not be copied; select it by hand");
  };
  const commandList = (node) => {
    const list = make("ul", { class: "commands" }), others = make("ul", { class: "commands" });
    const draw = () => [list, others].forEach((each, place) => each.replaceChildren(...(place ? commands(node).slice(1) : commands(node).slice(0, 1)).map(([purpose, text]) => make("li", {}, make("p", {}, purpose), make("code", {}, text),
      make("button", { type: "button", "aria-label": `Copy: ${text}`, onclick: (event) => copy(text, event.target) }, "Copy")))));
    draw();
    const input = make("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: (event) => { whereIs.value = event.target.value || "."; draw(); } });
    input.value = whereIs.value;
    const where = make("label", { class: "field where" }, make("span", {}, data.in === "bundle" ? "Your copy of the bundle" : "The workspace, or a bundle of it"), input);
    return [list, make("details", { class: "ways-to-check" }, make("summary", {}, "Other ways to check, and where your copy is"), others, where)];
  };

  const AT_ONCE = 60;
  const branch = (node, way, from = 0, list = make("ul", {})) => {
    const below = way(node);
    for (const [role, next] of below.slice(from, from + AT_ONCE)) list.append(leaf(next, role, way));
    if (below.length > from + AT_ONCE) {
      const left = below.length - from - AT_ONCE;
      const item = make("li", { class: "more" }, make("button", { type: "button", onclick: () => { item.remove(); branch(node, way, from + AT_ONCE, list); } }, `Show ${Math.min(AT_ONCE, left)} more of ${count(left)}`));
      list.append(item);
    }
    return list;
  };
  const leaf = (node, role, way) => {
    const { name, sub, value } = told(node), opens = !isFigure(node) && way(node).length > 0, spoilt = taint(node);
    const plain = plainRole(role), label = isRecord(node) && role && plain !== "run" ? `${plain}: ${name}` : isFigure(node) ? `${W(figureAt(node).figure[FIGURE])} = ${value}` : name;
    const item = make("li", {}), line = make("div", { class: "node" });
    if (opens) line.append(make("button", { type: "button", "aria-expanded": "false", "aria-label": `${way === up ? "what this rests on" : "what rests on this"}: ${label}`, onclick: (event) => toggle(event.target) }));
    else line.append(make("span", {}));
    const toggle = (button) => {
      const wanted = button.getAttribute("aria-expanded") === "false";
      button.setAttribute("aria-expanded", String(wanted));
      if (wanted) item.append(branch(node, way)); else item.lastElementChild.remove();
    };
    const verdict = isFigure(node) ? W(figureAt(node).figure[VERDICT]) : "", [look, sign] = LOOKS[verdict] || ["", ""];
    line.append(glyph(node), make("span", {}, link(node, label), look ? make("span", { class: `small ${look}` }, `${sign} ${verdict}`) : null, isFigure(node) ? null : make("span", { class: "small" }, isRecord(node) ? sub.slice(0, -7) : sub),
      spoilt ? make("span", { class: "small bad" }, spoilt.itself ? "⊘ withdrawn" : "⊘ rests on what was withdrawn") : null));
    item.append(line);
    item.opened = toggle;
    return item;
  };
  const way = (node, direction, heading, none, words) => {
    const below = direction(node), section = make("section", {}, make("h3", {}, heading));
    if (!below.length) { section.append(make("p", { class: "small" }, none)); return section; }
    const all = closure(node, direction), stages = new Map();
    let claimed = 0;
    for (const each of [...all].sort((one, other) => one - other)) {
      if (isRecord(each)) stages.set(W(records[each][STAGE]), (stages.get(W(records[each][STAGE])) || 0) + 1);
      else if (isFigure(each)) claimed += 1;
    }
    const narrow = (kind, part) => { setKind(kind); state.filters = { part }; state.sound = ""; state.words = []; $("words").value = ""; state.within = { nodes: all, told: `what ${words} ${told(node).brief}` }; fill(); $("filters").open = true; find(); if (compact()) document.body.dataset.view = "list"; $("list").focus(); };
    const chip = (text, number, kind, part) => make("li", {}, make("button", { type: "button", onclick: () => narrow(kind, part), "aria-label": `${count(number)} ${text}: list what of them ${words} this` }, make("b", {}, count(number)), ` ${text}`));
    section.append(make("p", { class: "small" }, "In all, through every step:"), make("ol", { class: "strip" }, ...[...stages].map(([stage, number]) => chip(stage, number, "record", stage)), claimed ? chip("figures", claimed, "figure", "") : null));
    const tree = branch(node, direction);
    tree.className = "tree";
    section.append(tree);
    if (below.length === 1) tree.querySelector("button[aria-expanded]")?.click();
    return section;
  };
  const facts = (pairs) => make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const mono = (text) => make("span", { class: "mono" }, text);

  const showItem = (node) => {
    const { name, brief } = told(node), spoilt = taint(node), parts = [];
    if (isFigure(node)) {
      const { report, figure } = figureAt(node), f = (place) => W(figure[place]);
      parts.push(make("p", { class: "eyebrow" }, glyph(node), `Figure in the report of ${report.phase}, ${f(SECTION).replaceAll("_", " ")}`),
        make("h2", { tabindex: "-1" }, make("span", { class: "number" }, f(TEXT) || "not measured"), f(TITLE) || f(FIGURE)), f(TITLE) ? make("p", { class: "named mono" }, f(FIGURE)) : null,
        make("p", { class: "badges" }, f(VERDICT) ? badge(f(VERDICT)) : null, f(RELIANCE) ? badge(f(RELIANCE)) : null, f(STANDING) && f(STANDING) !== "agreed" ? badge(f(STANDING)) : null));
      const test = f(F_TEST);
      parts.push(facts([["Interval", f(INTERVAL)], ["Samples", f(SAMPLES)], ["Method", f(METHOD)], ["Requirement", f(REQUIREMENT)], ["Metric", f(METRIC)], ["Scope", f(SCOPE)], ["Component", f(F_COMPONENT)], ["Test", test], ["Test run", f(F_RUN)],
        ["Evidence", make("span", {}, ...rests[node].flatMap(([, each], place) => [place ? ", " : "", link(each, mono(short(digestOf(each))))]))]]));
    } else if (isRecord(node)) {
      const record = records[node];
      parts.push(make("p", { class: "eyebrow" }, glyph(node), `Record ${sequence(node)} of the ledger`), make("h2", { tabindex: "-1" }, name), make("p", { class: "named mono" }, digests[record[DIGEST]]));
      const verdicts = [...facet(node, "verdict")];
      parts.push(make("p", { class: "badges" }, ...verdicts.map(badge), ...[...facet(node, "reliance")].map(badge)));
      parts.push(facts([["Time", clock(record[TIME])], ["By", W(record[ACTOR])], ["Phase", W(record[PHASE])], ["Component", W(record[COMPONENT])], ["Test", W(record[TEST])], ["Test run", W(record[RUN])], ["What it says", W(record[NOTE])]]));
    } else {
      const { digest, producer, role } = artefactAt(node), others = (byDigest.get(digest) || []).filter((each) => each !== node);
      parts.push(make("p", { class: "eyebrow" }, glyph(node), "Artefact in the evidence store"), make("h2", { tabindex: "-1" }, name), make("p", { class: "named mono" }, digests[digest]));
      if (absent.has(digest)) parts.push(make("p", { class: "small" }, "It is not in this bundle: only another phase rests on it."));
      parts.push(facts([["Role", role], ["Came from", producer >= 0 ? link(producer, `record ${sequence(producer)}`) : "no record shown here"],
        ["Same bytes", others.length ? make("span", {}, ...others.flatMap((each, place) => [place ? ", " : "", link(each, told(each).sub.split(" · ")[1])])) : ""]]));
    }
    if (spoilt) {
      const index = spoilt.by - data.first, record = records[index];
      const why = record ? `${clock(record[TIME])}, by ${W(record[ACTOR])}: ${W(record[NOTE]) || "no reason given"}` : "";
      parts.push(make("p", { class: "warn" }, spoilt.itself ? "⊘ Withdrawn by " : "⊘ This rests on what was withdrawn by ", record ? link(index, `record ${spoilt.by}`) : `record ${spoilt.by}`, why ? ` (${why})` : "", "."));
    }
    parts.push(make("h3", {}, "To check this yourself"), ...commandList(node));
    parts.push(make("div", { class: "ways" },
      way(node, up, "What it rests on", isRecord(node) || isFigure(node) ? "Nothing before it: this is where evidence begins." : "No record shown here produced it.", "supports"),
      way(node, down, isFigure(node) ? "Where it is claimed" : "What rests on it", "Nothing yet.", "rests on")));
    return { title: brief, parts };
  };

  const showStart = () => {
    const tiles = reports.map((report) => {
      const mine = figures.slice(report.from, report.from + report.figures.length).map(({ figure }) => figure);
      const counted = Object.keys(LOOKS).map((verdict) => [verdict, mine.filter((figure) => W(figure[FIGURE]) === `outcome/${verdict.replace(" ", "-")}`).map((figure) => Number(W(figure[TEXT]).replaceAll(",", "")) || 0)[0] || 0]);
      const bar = make("div", { class: "bar", "aria-hidden": "true" }, ...counted.filter(([, number]) => number).map(([verdict, number]) => { const part = make("i", { class: LOOKS[verdict][0] }); part.style.flexGrow = number; return part; }));
      const figureNamed = (id) => { const place = mine.findIndex((figure) => W(figure[FIGURE]) === id); return place < 0 ? null : R + report.from + place; };
      return make("li", { class: "tile" }, make("h3", {}, report.title || report.phase), make("p", { class: "small" }, report.phase, " · ", report.index >= 0 ? link(report.index, `record ${report.record}`) : `record ${report.record}`, ` · ${plural(mine.length, "figure")}`), bar,
        make("ul", { class: "plainlist" }, ...counted.map(([verdict, number]) => { const node = figureNamed(`outcome/${verdict.replace(" ", "-")}`), [look, sign] = LOOKS[verdict], text = `${sign} ${count(number)} ${verdict}`; return make("li", { class: look }, node === null ? text : link(node, text)); })));
    });
    const stages = new Map();
    for (const record of records) stages.set(W(record[STAGE]), (stages.get(W(record[STAGE])) || 0) + 1);
    const list = (stage) => { setKind("record"); state.within = null; state.words = []; $("words").value = ""; state.filters = { part: stage }; fill(); $("filters").open = true; find(); if (compact()) document.body.dataset.view = "list"; $("list").focus(); };
    const spoilt = ids.figure.filter(taint).length;
    return { title: "Start", parts: [
      make("p", { class: "eyebrow" }, `Ledger of ${plural(R, "record")}, ${plural(artefacts.length, "artefact")}, ${plural(F, "figure")}`),
      make("h2", { tabindex: "-1" }, "What every figure rests on"),
      data.first > 1 ? make("p", { class: "warn" }, `The oldest ${plural(data.first - 1, "record")} are not on this page: they would be too many for one. plimsoll lineage and plimsoll.duckdb have them all.`) : null,
      spoilt ? make("p", { class: "warn" }, `⊘ ${plural(spoilt, "figure")} rest on what was withdrawn. The filter "Soundness" lists them.`) : null,
      reports.length ? make("ul", { class: "tiles" }, ...tiles) : make("p", {}, "No report is recorded yet."),
      make("h3", {}, "How to walk"),
      make("ol", { class: "steps" }, make("li", {}, "Choose a figure on the left, or follow one from the report."), make("li", {}, "Open what it rests on, step by step, down to test runs and declarations; each step can be walked back."), make("li", {}, "Copy the command that checks it, and run it on your own copy: nothing on this page needs to be believed.")),
      make("p", { class: "small" }, make("kbd", {}, "/"), " search · ", make("kbd", {}, "↑"), " ", make("kbd", {}, "↓"), " choose · ", make("kbd", {}, "Enter"), " open · ", make("kbd", {}, "Alt"), " ", make("kbd", {}, "←"), " back"),
      make("h3", {}, "The pipeline, by its records"),
      make("ol", { class: "strip" }, ...[...stages].map(([stage, number]) => make("li", {}, make("button", { type: "button", onclick: () => list(stage) }, make("b", {}, count(number)), ` ${stage}`)))),
      make("p", { class: "small" }, "Made from the ledger up to ", mono(data.head), data.in === "bundle" ? ". Reports of later phases are not in this bundle." : "."),
    ].filter(Boolean) };
  };

  // --- two phases beside each other ---
  const general = (text, phase) => text.split("/").map((part) => (part === phase ? "*" : part.startsWith(`${phase}.`) ? `*${part.slice(phase.length)}` : part)).join("/");
  const differences = (one, other) => {
    const rows = new Map();
    const enter = (report, side) => report.figures.forEach((figure, place) => {
      const key = general(W(figure[FIGURE]), report.phase);
      if (!rows.has(key)) rows.set(key, { key, sides: [null, null] });
      rows.get(key).sides[side] ??= R + report.from + place;
    });
    enter(one, 0);
    enter(other, 1);
    return [...rows.values()].map((each) => {
      const [left, right] = each.sides.map((node) => (node === null ? null : figureAt(node).figure));
      const same = left && right && left[TEXT] === right[TEXT] && left[VERDICT] === right[VERDICT];
      const evidence = left && right && left[EVIDENCE].join() === right[EVIDENCE].join();
      const verdict = left && right && left[VERDICT] !== right[VERDICT];
      return { ...each, evidence, what: verdict ? "verdict" : same ? "same" : left && right ? "changed" : left ? "first" : "second" };
    });
  };
  const inputs = (report) => {
    const found = new Map();
    for (const [role, node] of report.index >= 0 ? rests[report.index] : []) {
      if (role === "key") continue;
      found.set(general(role.replace(":", "/"), report.phase).replace("/", ":"), node);
      if (role === "programme" && !isRecord(node) && artefactAt(node).producer >= 0) for (const [name, file] of outs[artefactAt(node).producer]) if (name.startsWith("file:")) found.set(name, file);
    }
    return found;
  };
  const digestOf = (node) => (isRecord(node) ? records[node][DIGEST] : artefactAt(node).digest);
  const showCompare = (query) => {
    const names = reports.map((report) => report.phase), first = names.includes(query.get("compare")) ? query.get("compare") : names[0];
    const second = names.includes(query.get("with")) ? query.get("with") : names.find((name) => name !== first);
    const [one, other] = [first, second].map((name) => reports.find((report) => report.phase === name));
    const rows = differences(one, other), tally = (what) => rows.filter((each) => what === "all" || each.what === what).length;
    const KINDS = [["verdict", "another verdict"], ["changed", "another value"], ["first", `only in ${first}`], ["second", `only in ${second}`], ["same", "the same"], ["all", "all"]];
    const chosen = { what: tally("verdict") ? "verdict" : tally("changed") ? "changed" : "all", words: "", most: 100 };
    const body = make("tbody", {}), more = make("p", { class: "more" }), status = make("p", { class: "small", role: "status" });
    const cell = (node) => { if (node === null) return make("td", { class: "small" }, "none"); const figure = figureAt(node).figure, [look, sign] = LOOKS[W(figure[VERDICT])] || ["", ""]; return make("td", {}, link(node, W(figure[TEXT]) || "not measured"), look ? make("span", { class: `small ${look}` }, ` ${sign} ${W(figure[VERDICT])}`) : null); };
    const draw = () => {
      const found = rows.filter((each) => (chosen.what === "all" || each.what === chosen.what) && chosen.words.split(/\s+/).every((word) => each.key.toLowerCase().includes(word)));
      body.replaceChildren(...found.slice(0, chosen.most).map((each) => make("tr", {}, make("th", { scope: "row", class: "mono" }, each.key), cell(each.sides[0]), cell(each.sides[1]), make("td", { class: "short" }, each.evidence ? "the same" : each.sides.includes(null) ? "" : "other"))));
      status.textContent = plural(found.length, "figure");
      more.replaceChildren(...(found.length > chosen.most ? [make("button", { type: "button", onclick: () => { chosen.most += 200; draw(); } }, `Show ${Math.min(200, found.length - chosen.most)} more`)] : []));
    };
    const go = (side, value) => { const next = new URLSearchParams({ compare: side ? first : value, with: side ? value : second }); location.hash = `#${next}`; };
    const pick = (label, side, value, hidden) => { const select = make("select", { onchange: (event) => go(side, event.target.value) }, ...names.filter((name) => name !== hidden).map((name) => make("option", { value: name }, name))); select.value = value; return make("label", { class: "field" }, make("span", {}, label), select); };
    const kinds = make("select", { onchange: (event) => { chosen.what = event.target.value; chosen.most = 100; draw(); } }, ...KINDS.map(([value, text]) => make("option", { value }, `${text} (${count(tally(value))})`)));
    kinds.value = chosen.what;
    draw();
    const left = inputs(one), right = inputs(other), roles = [...new Set([...left.keys(), ...right.keys()])];
    const thing = (node) => make("td", {}, node === undefined ? "none" : link(node, isRecord(node) ? `record ${sequence(node)}` : short(digestOf(node))));
    const state = (role) => (!left.has(role) ? `only in ${second}` : !right.has(role) ? `only in ${first}` : digestOf(left.get(role)) === digestOf(right.get(role)) ? "the same" : "changed");
    const sorted = roles.map((role) => [role, state(role)]).sort(([, a], [, b]) => (a === "the same") - (b === "the same"));
    return { title: `${first} and ${second}`, parts: [
      make("p", { class: "eyebrow" }, "Two phases beside each other"), make("h2", { tabindex: "-1" }, `${one.title || first} and ${other.title || second}`),
      make("p", { class: "small" }, "Where a figure's name holds its phase, * stands for it. The evidence of two figures is the same where later evidence rests on an earlier run, or where nothing was measured anew."),
      make("div", { class: "choose" }, pick("From", 0, first, second), pick("To", 1, second, first), make("label", { class: "field" }, make("span", {}, "Figures with"), kinds), make("label", { class: "field" }, make("span", {}, "Whose name holds"), make("input", { type: "search", oninput: (event) => { chosen.words = event.target.value.toLowerCase().trim(); chosen.most = 100; draw(); } }))),
      status, make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "figures of both phases" }, make("table", {}, make("thead", {}, make("tr", {}, ...["Figure", first, second, "Evidence"].map((text) => make("th", { scope: "col" }, text)))), body)), more,
      make("h3", {}, "What the reports rest on"),
      make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "what both reports rest on" }, make("table", {}, make("thead", {}, make("tr", {}, ...["Input", first, second, ""].map((text) => make(text ? "th" : "td", text ? { scope: "col" } : {}, text)))), make("tbody", {}, ...sorted.map(([role, what]) => make("tr", {}, make("th", { scope: "row" }, role), thing(left.get(role)), thing(right.get(role)), make("td", { class: "short" }, what)))))),
    ] };
  };

  const compact = () => matchMedia("(max-width: 52rem)").matches;
  const show = (first = false) => {
    const place = location.hash.slice(1), query = new URLSearchParams(/^[^=]+\/[^=]*$/.test(place) ? `figure=${place}` : place), walk = ["record", "figure", "artefact"].some((name) => query.has(name));
    if (!walk && !query.has("compare") && !["", "start"].includes(location.hash.slice(1))) return; // a place within the page
    const node = walk ? lookUp(query) : -1, comparing = query.has("compare") && reports.length > 1;
    const { title, parts } = node >= 0 ? showItem(node) : comparing ? showCompare(query) : showStart();
    if (walk && node < 0) parts.unshift(make("p", { class: "warn" }, "There is no such figure, record or artefact on this page."));
    if (node >= 0) { if (trail[trail.length - 1] !== node) trail.push(node); if (trail.length > 8) trail.shift(); }
    const walked = trail.slice(0, -1), past = node >= 0 && walked.length ? make("nav", { class: "trail", "aria-label": "Where you came from" }, make("ol", {}, ...walked.map((each) => make("li", {}, link(each, told(each).brief))))) : null;
    const back = make("button", { type: "button", class: "back", onclick: () => { document.body.dataset.view = "list"; $("list").focus(); } }, "‹ The list");
    $("main").replaceChildren(...[back, past, ...parts].filter(Boolean));
    $("main").scrollTop = 0;
    document.title = `${title} · Lineage of ${data.phase}`;
    $("to-start").toggleAttribute("aria-current", node < 0 && !comparing);
    $("to-compare").toggleAttribute("aria-current", comparing);
    for (const each of [$("to-start"), $("to-compare")]) if (each.hasAttribute("aria-current")) each.setAttribute("aria-current", "page");
    state.shown = node;
    const listed = node >= 0 ? state.found.indexOf(node) : -1;
    if (listed >= 0) move(listed); else drawRows();
    document.body.dataset.view = first && compact() && node < 0 && !comparing ? "list" : "item";
    if (!first) { $("main").querySelector("h2").focus({ preventScroll: true }); if (compact()) scrollTo(0, 0); }
  };

  // --- wiring ---
  $("programme").textContent = data.title || "Evidence";
  document.querySelector("h1").textContent = `Lineage of ${(reports.find((report) => report.phase === data.phase) || {}).title || data.phase}`;
  if (data.stamp) { $("stamp").hidden = false; $("stamp").textContent = data.stamp; }
  $("to-compare").hidden = reports.length < 2;
  let waiting = 0;
  $("words").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => { state.words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean); find(); }, 60); });
  $("search").addEventListener("submit", (event) => { event.preventDefault(); state.words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean); find(); $("list").focus(); });
  $("words").addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { event.preventDefault(); $("list").focus(); } });
  for (const radio of document.querySelectorAll("input[name=kind]")) radio.addEventListener("change", () => { state.kind = radio.value; state.filters.part = ""; fill(); find(); });
  for (const name of SELECTS) $(`f-${name}`).addEventListener("change", (event) => { state.filters[name] = event.target.value; find(); });
  $("f-sound").addEventListener("change", (event) => { state.sound = event.target.value; find(); });
  $("clear").addEventListener("click", () => { state.filters = {}; state.sound = ""; state.words = []; $("words").value = ""; fill(); find(); $("words").focus(); });
  $("within").lastElementChild.addEventListener("click", () => { state.within = null; find(); $("list").focus(); });
  $("list").addEventListener("scroll", drawRows, { passive: true });
  $("list").addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor($("list").clientHeight / ROW) - 1);
    const moves = { ArrowDown: state.active + 1, ArrowUp: state.active - 1, PageDown: state.active + page, PageUp: state.active - page, Home: 0, End: state.found.length - 1 };
    if (event.key in moves) { event.preventDefault(); move(moves[event.key]); }
    else if ((event.key === "Enter" || event.key === " ") && state.active >= 0) { event.preventDefault(); open(state.found[state.active]); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    event.preventDefault();
    document.body.dataset.view = "list";
    $("words").focus();
  });
  const THEMES = [["", "as the system has them"], ["light", "light"], ["dark", "dark"]];
  let theme = 0;
  $("theme").addEventListener("click", () => {
    theme = (theme + 1) % THEMES.length;
    const [name, told] = THEMES[theme];
    if (name) document.documentElement.dataset.theme = name; else delete document.documentElement.dataset.theme;
    $("theme").setAttribute("aria-label", `Colours: ${told}`);
    say(`Colours: ${told}`);
  });
  addEventListener("hashchange", () => show());
  addEventListener("resize", () => { drawn = ""; drawRows(); });
  $("filters").open = !compact();
  fill();
  find();
  show(true);
})();
