/* The hosted page: opens the gateway's checkout, says what is going on, and leaves when there is news.
   Nothing that happens here is proof of anything; the server asks the gateway. */
(function () {
  "use strict";

  var SLOW_MILLISECONDS = 8000;
  var ANSWER_MILLISECONDS = 15000;
  var FIRST_PAUSE = 3000;
  var LONGEST_PAUSE = 20000;
  var MOST_QUESTIONS = 60;

  var facts = JSON.parse(document.getElementById("facts").textContent);
  var stage = document.getElementById("stage");
  var button = document.getElementById("pay");
  var check = document.getElementById("check");
  var note = document.getElementById("note");
  var started = Date.now();
  var isBusy = false;
  var isOpen = false;
  var isWanted = false;
  var isLate = false;
  var isLeaving = false;
  var isAsking = false;
  var declined = null; // the last refusal in words, once there was one
  var pause = FIRST_PAUSE;
  var questions = 0;
  var timer = null;
  var slow = null;

  function say(name, reason) {
    var words = facts.words[name];
    stage.dataset.mood = name;
    write("heading", words[0]);
    write("sentence", words[1].split("{reason}").join(asSentence(reason || "")).trim());
  }

  // Gateways end theirs with a full stop, or do not.
  function asSentence(text) {
    return text.trim().replace(/[^.!?…।]$/, "$&.");
  }

  // A new element, so that the old one is not seen to move.
  function write(id, text) {
    var old = document.getElementById(id);
    var made = old.cloneNode(false);
    made.textContent = text;
    old.replaceWith(made);
  }

  function setBusy(busy) {
    isBusy = busy;
    button.disabled = busy; // a link has none
    button.setAttribute("aria-disabled", busy);
  }

  function leave() {
    isLeaving = true;
    say("leaving");
    if (button) {
      setBusy(true);
    }
    window.location.assign(facts.returnUrl);
  }

  // ── asking our own server, gently ──

  function watch() {
    clearTimeout(timer);
    timer = null;
    if (isLeaving) {
      return;
    }
    if (questions >= MOST_QUESTIONS) {
      if (!facts.order) {
        say("long");
      }
      return;
    }
    timer = setTimeout(ask, pause);
    pause = Math.min(pause * 1.3, LONGEST_PAUSE);
  }

  function ask() {
    clearTimeout(timer);
    if (document.hidden || isAsking || isLeaving) {
      return Promise.resolve(); // asked again when the payer looks at the page
    }
    isAsking = true;
    questions += 1;
    return answerWithin(ANSWER_MILLISECONDS)
      .then(hear, function () {
        remark(navigator.onLine ? "" : facts.words.offline); // the next question may get through
      })
      .then(function () {
        isAsking = false;
        watch();
      });
  }

  function answerWithin(milliseconds) {
    var control = new AbortController();
    var end = setTimeout(control.abort.bind(control), milliseconds);
    return fetch(facts.statusUrl, { headers: { Accept: "application/json" }, signal: control.signal })
      .then(function (response) {
        return response.ok ? response.json() : {};
      })
      .finally(function () {
        clearTimeout(end);
      });
  }

  function hear(answer) {
    var status = answer.paymentStatus;
    remark("");
    if (isLeaving || !status || status === facts.status) {
      return;
    }
    if (status === "completed") {
      leave();
    } else if (!isOpen) {
      isLeaving = true;
      window.location.reload();
    }
  }

  function askAnew() {
    pause = FIRST_PAUSE;
    questions = 0;
    return ask();
  }

  function remark(text) {
    if (note) {
      note.textContent = text;
    }
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && questions < MOST_QUESTIONS) {
      ask();
    }
  });

  window.addEventListener("online", function () {
    ask();
  });

  // Shown again from the browser's memory: what it says may be long over.
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) {
      window.location.reload();
    }
  });

  // ── opening the gateway's checkout ──

  var tell = {
    paid: leave,
    closed: function () {
      isOpen = false;
      if (declined === null) {
        offer("closed");
      } else {
        offer("declined", declined); // closing the window changes nothing about it
      }
      button.focus({ preventScroll: true }); // it was in the window that is gone
      askAnew(); // perhaps it was paid all the same, or the time is up
    },
    failed: function (reason) {
      declined = reason || "";
      offer("declined", declined);
    },
  };

  function offer(name, reason) {
    say(name, reason);
    button.textContent = facts.words.again;
    setBusy(false);
  }

  function open() {
    if (isLeaving || isOpen) {
      return;
    }
    var order = Object.assign({}, facts.order);
    order.secondsLeft = Math.floor(order.secondsLeft - (Date.now() - started) / 1000);
    if (order.secondsLeft < 1) {
      ask();
      return;
    }
    // A checkout that takes this page's place may fail to: then the button is still there.
    isOpen = !window.gatewayCheckout.takesThePlace;
    isWanted = false;
    remember();
    setBusy(false);
    say(isOpen ? "open" : "opening");
    setTimeout(tellSlow, SLOW_MILLISECONDS);
    watch();
    try {
      window.gatewayCheckout.open(order, tell);
    } catch (error) {
      isOpen = false;
      offer("blocked");
    }
  }

  function tellSlow() {
    if (stage.dataset.mood === "opening" && !isLeaving) {
      offer("slow");
    }
  }

  function load() {
    if (window.gatewayCheckout.isLoaded() || !facts.script) {
      open();
    } else if (isLate) {
      window.location.reload(); // a second element would wait for the same answer
    } else {
      isWanted = true;
      setBusy(true);
      say("opening");
      slow = setTimeout(beLate, SLOW_MILLISECONDS);
      fetchScript();
    }
  }

  function beLate() {
    isLate = true;
    goOnWithout("slow");
  }

  function fetchScript() {
    if (!facts.script || document.getElementById("gateway-script")) {
      return;
    }
    var script = document.createElement("script");
    script.id = "gateway-script";
    script.src = facts.script;
    script.onload = script.onerror = function () {
      clearTimeout(slow);
      isLate = false;
      if (!window.gatewayCheckout.isLoaded()) {
        script.remove();
      }
      if (isWanted) {
        goOn();
      }
    };
    document.head.appendChild(script);
  }

  function goOn() {
    if (window.gatewayCheckout.isLoaded()) {
      open();
    } else {
      goOnWithout("blocked");
    }
  }

  // Where the gateway's script is a convenience only, the payer can pay without it.
  function goOnWithout(words) {
    if (window.gatewayCheckout.needsScript === false) {
      open();
    } else {
      offer(words);
    }
  }

  // ── by itself once a visit: who comes back with the Back button wants to be here ──

  function opensByItself() {
    var entry = performance.getEntriesByType && performance.getEntriesByType("navigation")[0];
    var way = entry ? entry.type : "navigate";
    var isFromHere = document.referrer.indexOf(window.location.origin + window.location.pathname) === 0;
    return way !== "back_forward" && ((way === "navigate" && !isFromHere) || !remembers());
  }

  function remember() {
    try {
      window.sessionStorage.setItem("opened", window.location.pathname);
    } catch (error) {
      // no storage: the kind of navigation has to do
    }
  }

  function remembers() {
    try {
      return window.sessionStorage.getItem("opened") === window.location.pathname;
    } catch (error) {
      return false;
    }
  }

  function start() {
    if (opensByItself()) {
      load();
    } else {
      say("shown_again");
      setBusy(false);
      fetchScript(); // the button opens at once then
      ask();
    }
  }

  if (facts.order) {
    button.addEventListener("click", function (event) {
      event.preventDefault();
      if (!isBusy) {
        load();
      }
    });
    document.addEventListener("DOMContentLoaded", start); // the opener's script comes after this one
  } else {
    check.addEventListener("click", function (event) {
      event.preventDefault();
      askAnew().then(function () {
        if (!isLeaving && !note.textContent) {
          remark(facts.words.no_news);
        }
      });
    });
    watch();
  }
})();
