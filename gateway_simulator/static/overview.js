/* The overview: what /_sim knows, kept fresh in place, with buttons for what happens next.
   Text only ever enters as textContent. What is the same stays the same element, so that focus, open
   details and half-filled forms survive every refresh. */
(function () {
  "use strict";

  const REFRESH_MS = 1500;
  const PAGE = 50;
  const WORDS = {
    "success": "Customer pays",
    "failure": "Payment fails",
    "pending": "Bank keeps silent",
    "expire": "Time runs out",
    "authorize": "Authorize only",
    "late-success": "Pays after all",
    "second-success": "Pays twice",
    "dashboard-refund": "Refund",
    "dispute": "Dispute",
    "collect-cash": "Cash is collected",
    "late-word": "Order's word comes late",
  };
  const GOOD = /^(paid|captured|completed|success|processed|delivered|payment_success|won|dispute_merchant_won|dispute_closed_merchant)/i;
  const BAD = /(fail|expired|error|timed_out|terminated|cancel|declined|dropped|given_up|lost|void)/i;
  const WAITING = /(pending|attempted|authorized|created|placed|open|waiting|sending|confirmed|onhold|active|requested)/i;
  const ENDED = /(fail|expired|error|timed_out|terminated|cancel)/i;

  const byId = (id) => document.getElementById(id);
  const money = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR" });
  const moment = new Intl.DateTimeFormat("en-IN", { dateStyle: "medium", timeStyle: "medium" });
  const hour = new Intl.DateTimeFormat("en-IN", { timeStyle: "short" });
  const rupees = (paise) => money.format(paise / 100);
  let world = { gateways: {}, verbs: [], kinds: { api: [], webhook: [] } };
  let shown = PAGE;

  // Talking to the simulator

  async function ask(method, path, body) {
    let response;
    try {
      response = await fetch(path, { method: method, body: body && JSON.stringify(body) });
    } catch {
      throw new Error("The simulator does not answer. Is it still running?");
    }
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.error || "The simulator answered " + response.status);
    }
    return answer;
  }

  function complain(error) {
    set(byId("message"), error ? error.message : "");
    byId("message").hidden = !error;
  }

  /* Do it, say so, and show what came of it; what went wrong stands where it was asked for.
     A button that were disabled meanwhile would lose the focus. */
  async function act(button, problem, run, done) {
    if (button.getAttribute("aria-disabled")) {
      return;
    }
    button.setAttribute("aria-disabled", "true");
    try {
      await run();
      problem(null);
      set(byId("done"), done);
    } catch (error) {
      problem(error);
    }
    button.removeAttribute("aria-disabled");
    await refresh();
  }

  // Elements

  function set(element, text) {
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  function make(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className || "";
    made.textContent = text || "";
    return made;
  }

  function add(parent, tag, className, text) {
    return parent.appendChild(make(tag, className, text));
  }

  function button(text, run) {
    const made = make("button", "", text);
    made.type = "button";
    made.addEventListener("click", () => run(made));
    return made;
  }

  /* Children for items: those that are there already are updated, moved only when they must, never remade. */
  function keyed(parent, items, keyOf, create, update) {
    const old = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
    let place = parent.firstElementChild;
    items.forEach((item) => {
      const key = keyOf(item);
      let child = old.get(key);
      old.delete(key);
      if (!child) {
        child = create(item);
        child.dataset.key = key;
      }
      if (child === place) {
        place = place.nextElementSibling;
      } else {
        parent.insertBefore(child, place);
      }
      update(child, item);
    });
    old.forEach((child) => {
      const order = child.contains(document.activeElement) && child.closest(".order");
      child.remove();
      if (order && order.isConnected) {
        order.querySelector("h3").focus();
      }
    });
  }

  function pill(element, status) {
    set(element, status);
    const mood = BAD.test(status) ? "bad" : GOOD.test(status) ? "good" : WAITING.test(status) ? "wait" : "";
    element.className = ("pill " + mood).trim();
  }

  function options(select, values, empty) {
    const chosen = select.value;
    const wanted = (empty === undefined ? [] : [["", empty]]).concat(values.map((value) => [].concat(value, value)));
    select.replaceChildren(...wanted.map((pair) => new Option(pair[1] === pair[0] ? pair[0] : pair[1], pair[0])));
    if (wanted.some((pair) => pair[0] === chosen)) {
      select.value = chosen;
    }
  }

  function labelled(parent, text, control, name) {
    const label = add(parent, "label", "", text + " ");
    control.name = name;
    label.appendChild(control);
    return control;
  }

  // One order

  function createOrder(order) {
    const card = make("article", "order fresh " + order.gateway);
    card.dataset.orderId = order.orderId;
    const head = add(card, "div", "head");
    add(head, "h3", "amount").tabIndex = -1;
    add(head, "span", "badge", order.gateway);
    add(head, "span", "pill").dataset.testid = "status";
    add(head, "span", "time muted");
    add(card, "p", "id", order.orderId);
    add(card, "ul", "lines happened");
    add(card, "div", "acts row");
    add(card, "p", "problem").setAttribute("role", "alert");
    card.appendChild(details("webhooks", "Webhooks")).appendChild(make("ul", "lines"));
    const link = card.lastChild.appendChild(make("a", "muted", "Every try, with headers and body"));
    link.href = "/_sim/deliveries?orderId=" + encodeURIComponent(order.orderId);
    link.target = "_blank";
    card.appendChild(details("anything", "Anything else …")).appendChild(anythingForm(card, order));
    return card;
  }

  function details(className, text) {
    const made = make("details", className);
    add(made, "summary", "", text);
    return made;
  }

  function updateOrder(card, order) {
    const find = (selector) => card.querySelector(selector);
    set(find(".amount"), rupees(order.amountPaise));
    pill(find(".head .pill"), order.status);
    set(find(".head .time"), hour.format(new Date(order.createdAt * 1000)));
    const known = order.wireId && order.wireId !== order.orderId ? " · " + order.wireId : order.reference && order.reference !== order.wireId ? " · " + order.reference : "";
    set(find(".id"), order.orderId + known);
    keyed(find(".happened"), lines(order), (line) => line.id, createLine, (element, line) => updateLine(card, element, line));
    keyed(find(".acts"), nextVerbs(order), (verb) => verb, (verb) => verbButton(card, order, verb), (made, verb) => {
      made.className = verb === "success" || verb === "late-success" ? "strong" : "";
    });
    const events = order.webhooks;
    const late = events.filter((event) => event.state !== "delivered" && event.state !== "dropped").length;
    set(find(".webhooks > summary"), "Webhooks: " + events.length + (late ? ", " + late + " not delivered" : ""));
    const numbered = events.map((event, number) => Object.assign({ id: event.eventId + number }, event));
    keyed(find(".webhooks ul"), numbered, (event) => event.id, createEvent, updateEvent);
  }

  function lines(order) {
    const all = order.attempts.map((one) => ({
      id: one.paymentId, what: one.method, sum: one.amountPaise, status: one.status,
      more: (one.lateAuthorized ? "late " : "") + (one.errorReason || ""), acts: [],
    }));
    order.refunds.forEach((one) => all.push({
      id: one.refundId, what: "refund", sum: one.amountPaise, status: one.status, more: "",
      acts: GOOD.test(one.status) || BAD.test(one.status) ? [] : ["success", "failure"].map((outcome) => ({
        text: outcome === "success" ? "Refund succeeds" : "Refund fails",
        path: "/_sim/refunds/" + encodeURIComponent(one.refundId) + "/" + outcome,
      })),
    }));
    order.disputes.forEach((one) => all.push({
      id: one.disputeId, what: "dispute", sum: one.amountPaise, status: one.status, more: "",
      acts: !isOpen(one) ? [] : world.gateways[order.gateway].disputeOutcomes.filter((outcome) => !isOpen({ status: outcome })).map((outcome) => ({
        text: outcome, path: orderPath(order, "dispute"), body: { outcome: outcome },
      })),
    }));
    return all;
  }

  function createLine() {
    const line = make("li");
    ["what", "sum", "pill", "id", "more muted", "row last"].forEach((name) => add(line, "span", name));
    return line;
  }

  function updateLine(card, element, line) {
    const parts = element.children;
    set(parts[0], line.what);
    set(parts[1], rupees(line.sum));
    pill(parts[2], line.status);
    set(parts[3], line.id);
    set(parts[4], line.more);
    keyed(parts[5], line.acts, (one) => one.text, (one) => button(one.text, (made) =>
      act(made, problemOf(card), () => ask("POST", one.path, one.body || {}), one.text)), () => undefined);
  }

  function createEvent() {
    const line = make("li");
    ["what", "pill", "told muted"].forEach((name) => add(line, "span", name));
    return line;
  }

  function updateEvent(element, event) {
    const told = [event.tries === 1 ? "1 try" : event.tries + " tries"];
    if (event.lastStatus) { told.push("answered " + event.lastStatus); }
    if (event.lastError) { told.push(event.lastError); }
    if (event.fault) { told.push("fault: " + event.fault); }
    if (event.nextTryAt) { told.push("next try " + moment.format(new Date(event.nextTryAt * 1000))); }
    set(element.children[0], event.event);
    pill(element.children[1], event.state);
    set(element.children[2], told.join(" · "));
  }

  const isOpen = (dispute) => !/(won|lost|closed|accepted)/i.test(dispute.status);

  /* What usually comes next. Anything is possible in the menu, and the gateway says what it refuses. */
  function nextVerbs(order) {
    const refunded = order.refunds.filter((one) => !BAD.test(one.status)).reduce((sum, one) => sum + one.amountPaise, 0);
    if (order.attempts.some((one) => /^authorized$/i.test(one.status))) {
      return ["dashboard-refund"];
    }
    if (order.amountPaidPaise >= order.amountPaise) {
      return (refunded < order.amountPaidPaise ? ["dashboard-refund"] : []).concat(order.disputes.some(isOpen) ? [] : ["dispute"]);
    }
    if (ENDED.test(order.status)) {
      return ["late-success"];
    }
    return order.attempts.some((one) => /^(created|pending|not_attempted)$/i.test(one.status))
      ? ["success", "failure", "expire"]
      : ["success", "failure", "pending", "expire"];
  }

  const orderPath = (order, what) => "/_sim/orders/" + encodeURIComponent(order.orderId) + "/" + what;

  const problemOf = (card) => (error) => set(card.querySelector(".problem"), error ? error.message : "");

  function verbButton(card, order, verb) {
    const made = button(WORDS[verb] || verb, () =>
      act(made, problemOf(card), () => ask("POST", orderPath(order, verb), {}), (WORDS[verb] || verb) + ": done"));
    made.dataset.verb = verb;
    return made;
  }

  /* Every verb, with its details; every type of webhook. */
  function anythingForm(card, order) {
    const form = make("form"), gateway = world.gateways[order.gateway];
    const verb = labelled(form, "What", make("select"), "verb");
    options(verb, world.verbs.map((one) => [one, WORDS[one] || one]));
    const amount = labelled(form, "Amount ₹", make("input"), "amount");
    Object.assign(amount, { type: "number", min: "0.01", step: "0.01", placeholder: "all of it" });
    const method = labelled(form, "Method", make("select"), "method");
    options(method, gateway.methods, "any");
    const outcome = labelled(form, "Of a dispute", make("select"), "outcome");
    options(outcome, gateway.disputeOutcomes, "opened");
    const run = add(form, "button", "", "Do it");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const body = {};
      if (amount.value) { body.amountPaise = Math.round(Number(amount.value) * 100); }
      if (method.value) { body.method = method.value; }
      if (outcome.value && verb.value === "dispute") { body.outcome = outcome.value; }
      act(run, problemOf(card), () => ask("POST", orderPath(order, verb.value), body), WORDS[verb.value] + ": done");
    });
    if (gateway.eventTypes.length) {
      const type = labelled(form, "Webhook of type", make("select"), "type");
      options(type, gateway.eventTypes);
      const send = button("Send webhook", () =>
        act(send, problemOf(card), () => ask("POST", orderPath(order, "webhook"), { type: type.value }), "Webhook sent"));
      form.appendChild(send);
    }
    return form;
  }

  // What is around the orders

  function showFaults(answer) {
    const all = answer.faults.map((fault, number) => ({
      id: "fault" + number,
      text: [fault.gateway, fault.on, fault.kind, fault.seconds === null ? "" : fault.seconds + " s", fault.remaining + " of " + fault.count + " left"],
    })).concat(answer.storms.map((storm, number) => ({
      id: "storm" + number,
      text: ["storm", Math.round(storm.rate * 100) + " %", "seed " + storm.seed, storm.hits + " hits"],
    })));
    keyed(byId("faults"), all, (one) => one.id, () => make("li"), (element, one) => set(element, one.text.filter(Boolean).join(" · ")));
    byId("clear-faults").disabled = !all.length;
  }

  function faultChoices() {
    const form = byId("fault-form").elements;
    options(form.gateway, Object.keys(world.gateways));
    options(form.on, world.gateways[form.gateway.value].operations.concat("webhook"));
    options(form.kind, form.on.value === "webhook" ? world.kinds.webhook : world.kinds.api);
  }

  function showSettings(answer) {
    set(byId("webhooks"), answer.webhooks);
    byId("shop").href = new URL("/", answer.webhooks);
    byId("shop").hidden = false;
    keyed(byId("settings"), Object.keys(answer.choices), (name) => name, (name) => settingsOf(name, answer.choices[name]), (fieldset, name) => {
      Object.entries(answer[name]).forEach(([setting, value]) => {
        const control = fieldset.querySelector("[name=" + JSON.stringify(setting) + "]");
        if (control !== document.activeElement) {
          control.value = JSON.stringify(value);
        }
      });
    });
  }

  function settingsOf(name, choices) {
    const fieldset = make("fieldset", name);
    add(add(fieldset, "legend", ""), "span", "badge", name);
    Object.entries(choices).forEach(([setting, allowed]) => {
      const control = make(Array.isArray(allowed) ? "select" : "input");
      if (Array.isArray(allowed)) {
        options(control, allowed.map((value) => [JSON.stringify(value), value === true ? "yes" : value === false ? "no" : String(value)]));
      } else {
        Object.assign(control, { type: "number", min: allowed.from, max: allowed.to });
      }
      labelled(fieldset, setting.replaceAll("_", " "), control, setting);
      control.addEventListener("change", () => act(control, complain, () =>
        ask("POST", "/_sim/settings", { [name]: { [setting]: JSON.parse(control.value || "null") } }), setting + " changed")
        .then(() => ask("GET", "/_sim/settings")).then(showSettings).catch(complain));
    });
    return fieldset;
  }

  function showClock(health) {
    set(byId("now"), moment.format(new Date(health.now * 1000)));
    const ahead = Math.round(health.aheadSeconds);
    const parts = [[Math.floor(ahead / 86400), "d"], [Math.floor(ahead / 3600) % 24, "h"], [Math.floor(ahead / 60) % 60, "min"]];
    const text = parts.filter((part) => part[0]).map((part) => part.join(" ")).join(" ");
    set(byId("ahead"), text ? text + " ahead" : "");
  }

  // Keeping fresh

  function showOrders(answer) {
    keyed(byId("orders"), answer.orders, (order) => order.orderId, createOrder, updateOrder);
    set(byId("total"), answer.total ? String(answer.total) : "");
    const narrowed = byId("filter-text").value || byId("filter-gateway").value;
    set(byId("none"), narrowed ? "No order is like that." : "No orders yet. Create one at any gateway, and it appears here by itself.");
    byId("none").hidden = answer.total > 0;
    byId("more").hidden = !answer.next;
  }

  let asked = 0;

  /* The newest question wins: an answer that was overtaken is not shown. */
  async function refresh() {
    const number = (asked += 1);
    const query = new URLSearchParams({ limit: shown, gateway: byId("filter-gateway").value, q: byId("filter-text").value.trim() });
    try {
      const [orders, faults, health] = await Promise.all(
        [ask("GET", "/_sim/orders?" + query), ask("GET", "/_sim/faults"), ask("GET", "/_sim/health")]);
      if (number === asked) {
        showOrders(orders);
        showFaults(faults);
        showClock(health);
        if (byId("message").dataset.lost) {
          delete byId("message").dataset.lost;
          complain(null);
        }
      }
    } catch (error) {
      byId("message").dataset.lost = "yes";
      complain(error);
    }
  }

  async function keepFresh() {
    if (!document.hidden) {
      await refresh();
    }
    setTimeout(keepFresh, REFRESH_MS);
  }

  function onClick(id, run, done) {
    byId(id).addEventListener("click", (event) => act(event.currentTarget, complain, run, done));
  }

  function onSubmit(id, run, done) {
    byId(id).addEventListener("submit", (event) => {
      event.preventDefault();
      act(event.target.querySelector("[type=submit]"), complain, () => run(event.target.elements), done);
    });
  }

  function listen() {
    document.querySelectorAll("[data-advance]").forEach((made) => made.addEventListener("click", () =>
      act(made, complain, () => ask("POST", "/_sim/clock", { advance_seconds: Number(made.dataset.advance) }), "The clock moved")));
    onClick("settle", () => ask("POST", "/_sim/settle", {}), "Settled");
    onClick("clear-faults", () => ask("DELETE", "/_sim/faults"), "No more faults");
    onSubmit("fault-form", (form) => ask("POST", "/_sim/faults", Object.assign(
      { gateway: form.gateway.value, on: form.on.value, kind: form.kind.value, count: Number(form.count.value) },
      form.seconds.value ? { seconds: Number(form.seconds.value) } : {})), "Fault set");
    onSubmit("storm-form", (form) => ask("POST", "/_sim/faults/storm",
      { rate: Number(form.percent.value) / 100, seed: Number(form.seed.value) }), "The storm rages");
    byId("fault-form").addEventListener("change", faultChoices);
    byId("filter-gateway").addEventListener("change", refresh);
    byId("filter-text").addEventListener("input", refresh);
    byId("more").addEventListener("click", () => { shown += PAGE; refresh(); });
    const dialog = byId("reset-dialog");
    byId("reset").addEventListener("click", () => { dialog.returnValue = ""; dialog.showModal(); });
    dialog.addEventListener("close", () => {
      const seed = dialog.querySelector("[name=seed]").value;
      if (dialog.returnValue === "reset") {
        act(byId("reset"), complain, async () => {
          await ask("POST", "/_sim/reset", seed ? { seed: Number(seed) } : {});
          showSettings(await ask("GET", "/_sim/settings"));
        }, "Everything is forgotten");
      }
    });
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
  }

  async function start() {
    try {
      world = await ask("GET", "/_sim/gateways");
      showSettings(await ask("GET", "/_sim/settings"));
    } catch (error) {
      complain(error);
      setTimeout(start, REFRESH_MS);
      return;
    }
    faultChoices();
    listen();
    keepFresh();
  }

  start();
})();
