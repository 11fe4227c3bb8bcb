/* The demo's panel: every call of these pages and every step of one payment, kept from page to page.
   `demoPanel.call` is fetch with a note; `demoPanel.follow` asks for the payment's history while the page is looked at. */
(function () {
  "use strict";

  var STORE = "demo-steps";
  var FIRST_PAUSE = 700;
  var LONGEST_PAUSE = 10000;
  var MOST_QUESTIONS = 80;
  var LONGEST_TEXT = 28;
  var SECRETIVE = ["customer"];

  var list = document.getElementById("steps");
  var empty = document.getElementById("panel-empty");
  var kept = recall();
  var following = null;
  var timer = null;

  // ── keeping ──

  function recall() {
    try {
      return JSON.parse(window.sessionStorage.getItem(STORE)) || { payment: null, steps: [] };
    } catch (error) {
      return { payment: null, steps: [] };
    }
  }

  function keep() {
    try {
      window.sessionStorage.setItem(STORE, JSON.stringify(kept));
    } catch (error) {
      // seen on this page, forgotten on the next
    }
  }

  function add(step) {
    if (step.id && kept.steps.some(function (known) { return known.id === step.id; })) {
      return false;
    }
    step.at = step.at || new Date().toISOString();
    kept.steps.push(step);
    kept.steps.sort(function (one, other) { return one.at < other.at ? -1 : one.at > other.at ? 1 : 0; });
    keep();
    return true;
  }

  // ── showing ──

  function element(name, className, text) {
    var made = document.createElement(name);
    made.className = className;
    made.textContent = text || "";
    return made;
  }

  function draw(step) {
    var item = element("li", "step " + step.kind);
    var head = element("p", "step-head");
    var times = step.times > 1 ? " · " + step.times + " times" : "";
    head.append(element("span", "step-kind", step.label + times), element("time", "step-time", time(step.at)));
    item.append(head, element("p", "step-title", step.title));
    if (step.body) {
      item.append(element("pre", "step-body", step.body));
    }
    item.dataset.kind = step.kind;
    return item;
  }

  function time(text) {
    var moment = new Date(text);
    return moment.toTimeString().slice(0, 8) + "." + String(moment.getMilliseconds()).padStart(3, "0");
  }

  function show() {
    var items = kept.steps.map(draw);
    items.forEach(function (item, index) {
      var there = list.children[index];
      if (!there) {
        list.append(item);
      } else if (there.textContent !== item.textContent) {
        there.replaceWith(item);
      }
    });
    while (list.children.length > items.length) {
      list.lastChild.remove();
    }
    empty.hidden = items.length > 0;
    list.hidden = items.length === 0;
    list.scrollTop = list.scrollHeight;
  }

  // Ids and names as long as they must be to be recognised; a customer's data not at all.
  function shorten(value, key) {
    if (SECRETIVE.indexOf(key) >= 0) {
      return "…";
    }
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return Object.keys(value).reduce(function (made, name) {
        made[name] = shorten(value[name], name);
        return made;
      }, {});
    }
    return typeof value === "string" && value.length > LONGEST_TEXT ? value.slice(0, LONGEST_TEXT - 1) + "…" : value;
  }

  function text(value) {
    return JSON.stringify(shorten(value, ""), null, 1).replace(/\n\s*/g, " ");
  }

  // ── noting ──

  function call(method, path, body) {
    var started = performance.now();
    var options = body ? { method: method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
    note("call", "Page → service", method + " " + path, body ? text(body) : "");
    return fetch(path, options).then(function (response) {
      return response.json().then(function (answer) {
        var took = Math.round(performance.now() - started);
        note("answer", "Service → page", response.status + " after " + took + " ms", text(answer));
        return { ok: response.ok, answer: answer };
      });
    });
  }

  // A question that is repeated, and its answer when nothing has changed, are counted.
  function note(kind, label, title, body) {
    var steps = kept.steps.filter(function (step) { return step.kind === kind; });
    var last = steps[steps.length - 1];
    if (last && last.body === body && (kind === "answer" || last.title === title)) {
      last.times = (last.times || 1) + 1;
      last.title = title;
      keep();
    } else {
      add({ kind: kind, label: label, title: title, body: body });
    }
    show();
  }

  var SOURCES = {
    "create-order": "the page’s order",
    webhook: "the gateway’s webhook",
    verify: "a verification",
    status: "a status page",
    return: "the payer’s return",
    clock: "the clock",
  };

  function tell(step) {
    if (step.kind === "webhook") {
      return { label: "Gateway → service", title: "webhook " + step.what + ": " + step.after };
    }
    var move = step.before ? step.before + " → " + step.after : step.after || "noted";
    return {
      label: "History, " + step.kind + " · by " + (SOURCES[step.source] || step.source),
      title: move + ": " + step.what,
    };
  }

  function hear(answer) {
    var isNew = false;
    (answer.steps || []).forEach(function (step) {
      var told = tell(step);
      var added = add({ id: step.id, at: step.at, kind: step.kind, label: told.label, title: told.title, body: evidence(step) });
      isNew = added || isNew;
    });
    if (isNew) {
      show();
    }
    return isNew;
  }

  function evidence(step) {
    return Object.keys(step.evidence).length ? text(step.evidence) : "";
  }

  // ── following ──

  function follow(paymentId) {
    kept.payment = following = paymentId;
    keep();
    ask(FIRST_PAUSE, 0);
  }

  function ask(pause, questions) {
    clearTimeout(timer);
    if (!following || document.hidden || questions >= MOST_QUESTIONS) {
      return;
    }
    fetch("/demo/history/" + following)
      .then(function (response) { return response.ok ? response.json() : {}; })
      .then(hear, function () { return false; })
      .then(function (isNew) {
        var next = isNew ? FIRST_PAUSE : Math.min(pause * 1.3, LONGEST_PAUSE);
        timer = setTimeout(ask, next, next, questions + 1);
      });
  }

  document.addEventListener("visibilitychange", function () {
    ask(FIRST_PAUSE, 0);
  });

  window.addEventListener("pageshow", function (event) {
    if (event.persisted) {
      kept = recall();
      show();
      ask(FIRST_PAUSE, 0);
    }
  });

  document.getElementById("panel-clear").addEventListener("click", function () {
    kept = { payment: null, steps: [] };
    following = null;
    keep();
    show();
  });

  function restart() {
    kept = { payment: null, steps: [] };
    following = null;
    keep();
  }

  show();
  if (kept.payment) {
    follow(kept.payment);
  }

  window.demoPanel = { call: call, note: note, follow: follow, restart: restart };
})();
