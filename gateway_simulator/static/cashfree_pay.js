/* The pay page, the bank's page and the refusal: pays by session, goes to the bank, and back when it is done. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var data = document.getElementById("checkout").dataset;
  var paymentId = data.payment || null;

  function part(id) {
    return document.getElementById(id);
  }

  function say(text, kind) {
    part("message").textContent = text;
    part("message").className = kind || "";
  }

  function value(id) {
    return part(id).value.trim();
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

  function attempt(body) {
    return call(new URL("attempts/" + encodeURIComponent(paymentId), pages()), body);
  }

  // …/cashfree/pay/ for the pay page and for the bank's, which is one folder down
  function pages() {
    return new URL(data.payment ? "../" : "./", window.location.href.split("?")[0]);
  }

  function paid() {
    say("Payment successful", "good");
    leave({ paymentDetails: { paymentMessage: "Payment finished. Check status." } });
  }

  // ── the pay page ──────────────────────────────────────────────────────────────────────────────────────

  function show(name, text, kind) {
    part("methods").hidden = name !== "methods";
    part("methods").disabled = name !== "methods";
    part("waiting").hidden = name !== "waiting";
    say(text || "", kind);
    (name === "waiting" ? part("waiting") : part("message")).focus();
  }

  function wait() {
    if (part("waiting").hidden) {
      show("waiting", "Waiting for your bank to confirm " + paymentId + "…");
    }
    setTimeout(function () {
      attempt().then(tell).catch(fail);
    }, ASK_AGAIN_MILLISECONDS);
  }

  function tell(outcome) {
    if (outcome.status === "SUCCESS") {
      paid();
    } else if (outcome.is_open) {
      wait();
    } else {
      var sentence = (outcome.sentence || "The attempt was cancelled").replace(/\.$/, "");
      show("methods", sentence + ". You can try again.", "bad");
    }
  }

  function fail(error) {
    show("methods", error.message, "bad");
  }

  function pay(method) {
    part("methods").disabled = true;
    say("Talking to your bank…");
    return call("../pg/orders/sessions", { payment_session_id: data.session, payment_method: method }).then(
      function (answer) {
        paymentId = answer.cf_payment_id;
        return answer;
      }
    );
  }

  function goToBank(answer) {
    var page = new URL(answer.data.url);
    new URLSearchParams(window.location.search).forEach(function (one, name) {
      if (name !== "attempt") {
        page.searchParams.set(name, one);
      }
    });
    page.searchParams.set("checkout", "1");
    window.location.assign(page);
  }

  var methods = {
    // the app is pretended: it answers as the test address does
    app: function () {
      pay({ upi: { channel: "link" } })
        .then(function () {
          return attempt({ upi_id: value("upi-id") });
        })
        .then(tell)
        .catch(fail);
    },
    upi: function () {
      pay({ upi: { channel: "collect", upi_id: value("upi-id") } })
        .then(function () {
          return attempt();
        })
        .then(tell)
        .catch(fail);
    },
    card: function () {
      var expiry = value("card-expiry").split("/");
      var card = {
        channel: "link",
        card_number: value("card-number"),
        card_holder_name: value("card-name"),
        card_expiry_mm: expiry[0],
        card_expiry_yy: expiry[1],
        card_cvv: value("card-cvv"),
      };
      pay({ card: card }).then(goToBank).catch(fail);
    },
    netbanking: function () {
      pay({ netbanking: { channel: "link", netbanking_bank_code: 3333 } }).then(goToBank).catch(fail);
    },
  };

  // ── the bank's page ───────────────────────────────────────────────────────────────────────────────────

  // Who came from the pay page goes back there to try again; who came from a shop's own page goes to the shop.
  function comeBack(outcome) {
    if (outcome.status === "SUCCESS") {
      paid();
    } else if (data.payPage) {
      window.location.assign(data.payPage);
    } else {
      leave({ error: { code: "payment_failed", message: outcome.sentence } });
    }
  }

  function answerBank(body) {
    attempt(body)
      .then(comeBack)
      .catch(function (error) {
        say(error.message, "bad");
      });
  }

  var actions = {
    "bank-success": function () {
      answerBank({ outcome: "success" });
    },
    "bank-failure": function () {
      answerBank({ outcome: "failure" });
    },
    "drop": function () {
      if (part("bank-over")) {
        comeBack({});
      } else if (data.payment) {
        answerBank({ outcome: "dropped" });
      } else {
        attempt({ outcome: "dropped" }).then(tell).catch(fail);
      }
    },
    "close-checkout": function () {
      leave({ error: { code: "payment_aborted", message: "The payer closed the checkout." } });
    },
  };

  document.addEventListener("submit", function (event) {
    event.preventDefault();
    if (event.target.id === "password") {
      answerBank({ otp: value("otp") });
    } else {
      methods[event.target.dataset.pays]();
    }
  });

  document.addEventListener("click", function (event) {
    var action = actions[event.target.id];
    var fills = event.target.dataset.fills;
    if (fills) {
      part(fills).value = event.target.dataset.with;
    } else if (action) {
      action();
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && part("close-checkout")) {
      actions["close-checkout"]();
    }
  });

  document.body.inert = false; // until here no button could be pressed: none did anything
  var first = part("otp") || part("bank-success");
  if (first) {
    first.focus(); // autofocus is not allowed in a frame of another origin
  }
})();
