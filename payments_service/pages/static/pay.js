/* The hosted page: opens the gateway's checkout, says what is going on, and leaves when there is news.
   Nothing that happens here is proof of anything; the server asks the gateway. */
(function () {
  "use strict";

  var SLOW_MILLISECONDS = 8000;
  var FIRST_PAUSE = 3000;
  var LONGEST_PAUSE = 20000;
  var MOST_QUESTIONS = 60;

  var facts = JSON.parse(document.getElementById("facts").textContent);
  var button = document.getElementById("pay");
  var started = Date.now();
  var isOpen = false;
  var isLeaving = false;
  var pause = FIRST_PAUSE;
  var questions = 0;
  var timer = null;

  function say(heading, sentence) {
    document.getElementById("heading").textContent = heading;
    document.getElementById("sentence").textContent = sentence;
  }

  function leave() {
    isLeaving = true;
    say("Thank you", "We are checking your payment and taking you back.");
    if (button) {
      button.disabled = true;
    }
    window.location.assign(facts.returnUrl);
  }

  // ── asking our own server, gently ──

  function watch() {
    clearTimeout(timer);
    if (isLeaving) {
      return;
    }
    if (questions >= MOST_QUESTIONS) {
      if (!facts.order) {
        say("This takes longer than usual", "You may close this page; the shop will hear of your payment. Please do not pay again.");
      }
      return;
    }
    timer = setTimeout(ask, pause);
    pause = Math.min(pause * 1.3, LONGEST_PAUSE);
  }

  function ask() {
    clearTimeout(timer);
    if (document.hidden) {
      return; // asked again when somebody looks
    }
    questions += 1;
    fetch(facts.statusUrl, { headers: { Accept: "application/json" } })
      .then(function (response) {
        return response.ok ? response.json() : {};
      })
      .then(hear, function () {
        // offline for a moment: the next question may get through
      })
      .then(watch);
  }

  function hear(answer) {
    var status = answer.paymentStatus;
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

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && timer !== null && !isLeaving) {
      ask();
    }
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
      offerAgain("Payment not finished", "You closed the payment window. You can try again.");
      pause = FIRST_PAUSE;
      questions = 0;
      ask(); // perhaps it was paid all the same, or the time is up
    },
    failed: function (reason) {
      offerAgain("That did not work", (reason ? reason + " " : "") + "You can try again, also with another method.");
    },
  };

  function offerAgain(heading, sentence) {
    say(heading, sentence);
    button.textContent = "Try again";
    button.disabled = false;
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
    try {
      window.gatewayCheckout.open(order, tell);
      isOpen = true;
      say("Ready to pay", facts.label + " is open in front of this page.");
      watch();
    } catch (error) {
      cannotLoad();
    }
  }

  function load() {
    if (window.gatewayCheckout.isLoaded() || !facts.script) {
      open();
      return;
    }
    var script = document.createElement("script");
    var slow = setTimeout(tellSlow, SLOW_MILLISECONDS);
    button.disabled = true;
    say("One moment", "Opening " + facts.label + ".");
    script.src = facts.script;
    script.onload = function () {
      clearTimeout(slow);
      button.disabled = false;
      if (window.gatewayCheckout.isLoaded()) {
        open();
      } else {
        goWithoutScript();
      }
    };
    script.onerror = function () {
      clearTimeout(slow);
      script.remove();
      goWithoutScript();
    };
    document.head.appendChild(script);
  }

  // Where the gateway's script is a convenience only, its absence keeps nobody from paying.
  function goWithoutScript() {
    if (window.gatewayCheckout.needsScript === false) {
      open();
    } else {
      cannotLoad();
    }
  }

  function tellSlow() {
    if (window.gatewayCheckout.needsScript === false) {
      open();
      return;
    }
    say("Still opening " + facts.label, "Your connection seems slow. It opens as soon as it has arrived.");
  }

  function cannotLoad() {
    offerAgain(
      facts.label + " could not be opened",
      "Nothing was charged. Check your connection, switch off ad or script blockers for this page, then try again."
    );
  }

  if (facts.order) {
    button.addEventListener("click", load);
    document.addEventListener("DOMContentLoaded", load); // the opener's script comes after this one
  } else {
    watch();
  }
})();
