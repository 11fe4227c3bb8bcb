/* Where the demo shop's payers land: asks the public API until there is an answer. */
(function () {
  "use strict";

  var FIRST_PAUSE = 3000;
  var LONGEST_PAUSE = 20000;
  var MOST_QUESTIONS = 60;
  var FINAL = ["completed", "failed", "expired", "unknown"];

  var words = JSON.parse(document.getElementById("facts").textContent);
  var query = new URLSearchParams(window.location.search);
  var gateway = query.get("gateway");
  var orderId = query.get("orderId");
  var check = document.getElementById("check");
  var panel = window.demoPanel;
  var isFollowing = false;
  var isOver = false;
  var pause = FIRST_PAUSE;
  var questions = 0;
  var timer = null;

  function say(status, sentence) {
    var stage = document.getElementById("stage");
    var ending = words.endings[status === "initiated" ? "pending" : status] || [status, ""];
    stage.dataset.status = stage.dataset.mood = status;
    write("heading", ending[0]);
    write("sentence", sentence || ending[1]);
  }

  // A new element, so that the old one is not seen to move.
  function write(id, text) {
    var old = document.getElementById(id);
    var made = old.cloneNode(false);
    made.textContent = text;
    old.replaceWith(made);
  }

  function rupees(amount) {
    var decimals = Number.isInteger(amount) ? 0 : 2;
    return "₹" + amount.toLocaleString("en-IN", { minimumFractionDigits: decimals });
  }

  function list(name, value) {
    var line = document.createElement("div");
    var term = document.createElement("dt");
    var text = document.createElement("dd");
    term.textContent = words.receipt[name];
    text.textContent = value;
    line.append(term, text);
    document.getElementById("details").append(line);
  }

  function show(payment) {
    document.getElementById("bill").dataset.mode = payment.mode;
    document.getElementById("amount").textContent = rupees(payment.amount);
    document.getElementById("details").replaceChildren();
    if (payment.method) {
      list("method", payment.method.toUpperCase().replace(/_/g, " "));
    }
    if (payment.amountRefunded) {
      list("refunded", rupees(payment.amountRefunded));
    }
    if (payment.paymentId) {
      list("payment", payment.paymentId);
    }
    list("order", payment.orderId);
    say(payment.paymentStatus);
    if (!isFollowing) {
      isFollowing = true;
      panel.follow(payment.id);
    }
  }

  function ask() {
    clearTimeout(timer);
    if (document.hidden || isOver) {
      return;
    }
    questions += 1;
    panel
      .call("GET", "/api/payment/status/" + encodeURIComponent(gateway) + "/" + encodeURIComponent(orderId))
      .then(function (told) {
        if (told.ok) {
          show(told.answer);
        } else {
          say("unknown", told.answer.error);
        }
        isOver = !told.ok || FINAL.indexOf(told.answer.paymentStatus) >= 0;
      })
      .catch(function () {
        // offline for a moment: the next question may get through
      })
      .then(askAgain);
  }

  function askAgain() {
    var isTired = questions >= MOST_QUESTIONS;
    check.hidden = isOver || !isTired;
    if (!isOver && !isTired) {
      timer = setTimeout(ask, pause);
      pause = Math.min(pause * 1.3, LONGEST_PAUSE);
    }
  }

  document.addEventListener("visibilitychange", ask);
  check.addEventListener("click", function () {
    questions = 0;
    pause = FIRST_PAUSE;
    ask();
  });
  document.querySelectorAll(".language").forEach(function (link) {
    query.set("lang", link.hreflang);
    link.href = "?" + query;
  });

  if (gateway && orderId) {
    ask();
  } else {
    say("unknown");
  }
})();
