/* The pay page: sends what the customer chose, and tells checkout.js (the page around it) what became of it. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var page = document.getElementById("checkout");
  var data = page.dataset;
  var message = document.getElementById("message");
  var methods = document.getElementById("methods");

  function tell(type, detail) {
    var target = /^https?:/.test(data.origin) ? data.origin : "*";
    window.parent.postMessage(Object.assign({ type: type }, detail), target);
  }

  function say(text, kind) {
    message.textContent = text;
    message.className = kind || "";
  }

  function value(id) {
    return document.getElementById(id).value;
  }

  function pay(choice) {
    var body = Object.assign(
      {
        key: data.key,
        order_id: data.orderId,
        email: data.email,
        contact: data.contact,
        description: data.description,
        notes: data.notes,
      },
      choice
    );
    wait("Talking to your bank…");
    ask("pay/attempts", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  function ask(address, request) {
    fetch(address, request)
      .then(function (response) {
        return response.json();
      })
      .then(show)
      .catch(function () {
        stop("The simulator did not answer. Try again.");
      });
  }

  function show(answer) {
    if (answer.result === "success") {
      say("Payment successful", "good");
      tell("success", { fields: answer.fields });
    } else if (answer.result === "pending") {
      page.dataset.paymentId = answer.payment_id;
      wait("Waiting for your bank to confirm " + answer.payment_id + "…");
      setTimeout(ask, ASK_AGAIN_MILLISECONDS, "pay/attempts/" + encodeURIComponent(answer.payment_id));
    } else if (answer.result === "failure") {
      stop(answer.error.description + " You can try again.");
      tell("failure", { error: answer.error });
    } else {
      stop(answer.error.description);
    }
  }

  function wait(text) {
    methods.disabled = true;
    say(text);
  }

  function stop(text) {
    methods.disabled = false;
    say(text, "bad");
  }

  function payByUpi(outcome) {
    pay({ method: "upi", vpa: value("upi-id"), outcome: outcome });
  }

  function payByCard(outcome) {
    pay({ method: "card", card_number: value("card-number"), otp: value("card-otp"), outcome: outcome });
  }

  function payByBank(outcome) {
    pay({ method: "netbanking", bank: value("bank"), outcome: outcome });
  }

  var actions = {
    "pay-upi": payByUpi.bind(null, undefined),
    "pay-card": payByCard.bind(null, undefined),
    "bank-success": payByBank.bind(null, "success"),
    "bank-failure": payByBank.bind(null, "failure"),
    "upi-pending": payByUpi.bind(null, "pending"),
    "card-pending": payByCard.bind(null, "pending"),
    "bank-pending": payByBank.bind(null, "pending"),
    "close-checkout": tell.bind(null, "dismiss", {}),
  };

  // Also serves the refusal page, which has only the close button.
  document.addEventListener("click", function (event) {
    var action = actions[event.target.id];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      tell("dismiss", {});
    }
  });

  if (methods && data.method && document.getElementById("tab-" + data.method)) {
    document.getElementById("tab-" + data.method).open = true;
  }

  document.body.inert = false; // nobody can press a button before it does something
})();
