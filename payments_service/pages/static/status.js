/* Where the demo shop's payers land: asks the public API until there is an answer. */
(function () {
  "use strict";

  var PAUSE_MILLISECONDS = 3000;
  var MOST_QUESTIONS = 100;
  var WORDS = {
    completed: ["Paid", "Thank you. Your order is on its way."],
    failed: ["Payment failed", "Nothing was ordered. You can start again in the shop."],
    expired: ["Time is up", "The payment was not made in time. You can start again in the shop."],
    authorized: ["Almost done", "Your bank has agreed; the payment is being confirmed."],
    pending: ["Not paid yet", "We are waiting for the gateway's word."],
    initiated: ["Not paid yet", "We are waiting for the gateway's word."],
  };
  var FINAL = ["completed", "failed", "expired"];

  var query = new URLSearchParams(window.location.search);
  var gateway = query.get("gateway");
  var orderId = query.get("orderId");
  var questions = 0;

  function say(status, words) {
    var stage = document.getElementById("stage");
    stage.className = stage.dataset.status = status;
    document.getElementById("heading").textContent = words[0];
    document.getElementById("sentence").textContent = words[1];
  }

  function list(name, value) {
    var details = document.getElementById("details");
    var term = document.createElement("dt");
    var text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    details.append(term, text);
  }

  function show(payment) {
    var decimals = Number.isInteger(payment.amount) ? 0 : 2;
    document.getElementById("amount").textContent =
      "₹" + payment.amount.toLocaleString("en-IN", { minimumFractionDigits: decimals });
    document.getElementById("details").replaceChildren();
    list("Order", payment.orderId);
    if (payment.paymentId) {
      list("Payment", payment.paymentId);
    }
    if (payment.method) {
      list("Method", payment.method);
    }
    say(payment.paymentStatus, WORDS[payment.paymentStatus] || [payment.paymentStatus, ""]);
  }

  function ask() {
    questions += 1;
    fetch("/api/payment/status/" + encodeURIComponent(gateway) + "/" + encodeURIComponent(orderId))
      .then(function (response) {
        return response.json().then(function (answer) {
          if (!response.ok) {
            say("unknown", ["We do not know this payment", answer.error || ""]);
            return true;
          }
          show(answer);
          return FINAL.indexOf(answer.paymentStatus) >= 0;
        });
      })
      .catch(function () {
        return false;
      })
      .then(function (isOver) {
        if (!isOver && questions < MOST_QUESTIONS) {
          setTimeout(ask, PAUSE_MILLISECONDS);
        }
      });
  }

  if (gateway && orderId) {
    ask();
  } else {
    say("unknown", ["We do not know this payment", "The address of this page names no order."]);
  }
})();
