/* The pay page: pays by session, asks for a one-time password or a bank's word, and goes back when it is paid. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var data = document.getElementById("checkout").dataset;
  var message = document.getElementById("message");
  var methods = document.getElementById("methods");
  var bank = document.getElementById("bank");
  var paymentId = null;

  function say(text, kind) {
    message.textContent = text;
    message.className = kind || "";
  }

  function value(id) {
    return document.getElementById(id).value;
  }

  function leave(answer) {
    if (data.modal) {
      window.parent.postMessage(answer, "*");
    } else if (data.returnUrl) {
      window.location.assign(data.returnUrl);
    } else {
      say("This order has no return_url: you may close the page.");
    }
  }

  function call(address, body) {
    var request = { headers: { "Content-Type": "application/json", "x-api-version": "2025-01-01" } };
    if (body) {
      request.method = "POST";
      request.body = JSON.stringify(body);
    }
    return fetch(address, request).then(function (response) {
      return response.json().then(function (answer) {
        return response.ok ? answer : Promise.reject(new Error(answer.message));
      });
    });
  }

  function pay(method) {
    show(null, "Talking to your bank…");
    return call("../pg/orders/sessions", { payment_session_id: data.session, payment_method: method }).then(function (answer) {
      paymentId = answer.cf_payment_id;
    });
  }

  function attempt(body) {
    return call("attempts/" + encodeURIComponent(paymentId), body);
  }

  function show(part, text, kind) {
    [methods, bank].forEach(function (one) {
      one.hidden = part !== null && part !== one;
      one.disabled = part !== one;
    });
    say(text || "", kind);
  }

  function tell(outcome) {
    if (outcome.status === "SUCCESS") {
      say("Payment successful", "good");
      leave({ paymentDetails: { paymentMessage: "Payment finished. Check status." } });
    } else if (outcome.is_open) {
      say("Waiting for your bank to confirm " + paymentId + "…");
      setTimeout(function () {
        attempt().then(tell).catch(fail);
      }, ASK_AGAIN_MILLISECONDS);
    } else {
      show(methods, (outcome.sentence || "The attempt was cancelled") + " You can try again.", "bad");
    }
  }

  function fail(error) {
    show(methods, error.message, "bad");
  }

  function atBank(hasPassword) {
    document.getElementById("password").hidden = !hasPassword;
    document.getElementById("words").hidden = hasPassword;
    show(bank, "At your bank: " + paymentId);
  }

  var actions = {
    "pay-upi": function () {
      pay({ upi: { channel: "collect", upi_id: value("upi-id") } })
        .then(function () {
          return attempt();
        })
        .then(tell)
        .catch(fail);
    },
    "pay-card": function () {
      var card = { channel: "link", card_number: value("card-number"), card_cvv: "123" };
      pay({ card: card }).then(atBank.bind(null, true)).catch(fail);
    },
    "pay-bank": function () {
      pay({ netbanking: { channel: "link", netbanking_bank_code: 3333 } }).then(atBank.bind(null, false)).catch(fail);
    },
    "send-otp": function () {
      attempt({ otp: value("otp") }).then(tell).catch(fail);
    },
    "bank-success": function () {
      attempt({ outcome: "success" }).then(tell).catch(fail);
    },
    "bank-failure": function () {
      attempt({ outcome: "failure" }).then(tell).catch(fail);
    },
    "drop": function () {
      attempt({ outcome: "dropped" }).then(tell).catch(fail);
    },
    "close-checkout": function () {
      leave({ error: { code: "payment_aborted", message: "The payer closed the checkout." } });
    },
  };

  // Also serves the refusal page, which has only the close button.
  document.addEventListener("click", function (event) {
    var action = actions[event.target.id];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  document.body.inert = false; // nobody can press a button before it does something
})();
