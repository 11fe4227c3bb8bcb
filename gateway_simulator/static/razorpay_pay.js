/* The pay page: sends what the payer chose, shows the bank's pages, and tells what became of it:
   in a frame to checkout.js (the page around it), else by going back to the shop. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var SHOW_SUCCESS_MILLISECONDS = 600;
  var page = document.getElementById("checkout");
  var data = page.dataset;
  var hosted = data.mode === "hosted";
  var paymentId = null;

  function element(id) {
    return document.getElementById(id);
  }

  function value(id) {
    var input = element(id);
    return input ? input.value : "";
  }

  // The way back

  function tell(type, detail) {
    if (hosted) {
      goBack(type, detail);
      return;
    }
    var target = /^https?:/.test(data.origin) ? data.origin : "*";
    window.parent.postMessage(Object.assign({ type: type }, detail), target);
  }

  function goBack(type, detail) {
    if (type === "success" && data.callbackUrl) {
      setTimeout(payPage.send, SHOW_SUCCESS_MILLISECONDS, data.back, data.callbackUrl, detail.fields);
    } else if (type === "dismiss" && data.cancelUrl) {
      window.location.assign(data.cancelUrl);
    }
  }

  // Screens

  function say(text, kind) {
    var message = element("message");
    message.textContent = text;
    message.className = kind || "";
  }

  function show(screen) {
    ["methods", "otp", "bank", "waiting"].forEach(function (name) {
      element("screen-" + name).hidden = name !== screen;
    });
  }

  function wait(text) {
    show("waiting");
    say(text);
  }

  function stop(text) {
    show("methods");
    say(text, "bad");
    element("message").focus();
  }

  function ask(screen, answer) {
    paymentId = answer.payment_id;
    page.querySelectorAll("#screen-" + screen + " .asks").forEach(function (heading) {
      heading.textContent = answer.asks;
    });
    show(screen);
    say("");
    var first = screen === "otp" ? element("otp") : element("bank-success");
    first.focus();
  }

  // Talking to the gateway

  function post(address, body) {
    wait("Talking to your bank…");
    request(address, payPage.say(body));
  }

  function request(address, options) {
    payPage.ask(address, options, read, stop);
  }

  function read(answer) {
    if (answer.result === "success") {
      wait("");
      say("Payment successful", "good");
      tell("success", { fields: answer.fields });
    } else if (answer.result === "otp" || answer.result === "bank") {
      ask(answer.result, answer);
    } else if (answer.result === "pending") {
      waitForTheBank(answer.payment_id);
    } else if (answer.result === "failure") {
      stop(answer.error.description + " You can try again.");
      tell("failure", { error: answer.error });
    } else {
      stop(answer.error.description);
    }
  }

  function waitForTheBank(id) {
    page.dataset.paymentId = id;
    wait("Waiting for your bank to confirm " + id + "…");
    setTimeout(request, ASK_AGAIN_MILLISECONDS, attempt(id));
  }

  function attempt(id) {
    return data.attempts + "/" + encodeURIComponent(id);
  }

  function pay(choice) {
    var who = {
      key: data.key,
      order_id: data.orderId,
      email: value("email"),
      contact: value("contact"),
      description: data.description,
      notes: data.notes,
    };
    post(data.attempts, Object.assign(who, choice));
  }

  // Without a field for the UPI ID: by QR code or in an app.
  function payByUpi(outcome) {
    var choice = { method: "upi" };
    if (element("upi-id")) {
      choice.vpa = value("upi-id");
    }
    if (outcome) {
      choice.outcome = outcome;
    }
    pay(choice);
  }

  function answerBank(answer) {
    post(attempt(paymentId), answer);
  }

  // What the payer does

  var forms = {
    "form-upi": function () {
      payByUpi();
    },
    "form-card": function () {
      pay({
        method: "card",
        card_number: value("card-number"),
        card_expiry: value("card-expiry"),
        card_cvv: value("card-cvv"),
      });
    },
    "form-netbanking": function () {
      pay({ method: "netbanking", bank: value("bank") });
    },
    "form-wallet": function () {
      pay({ method: "wallet", wallet: value("wallet") });
    },
    "form-otp": function () {
      answerBank({ otp: value("otp") });
    },
  };

  var buttons = {
    "upi-pending": function () {
      payByUpi("pending");
    },
    "upi-decline": function () {
      payByUpi("failure");
    },
    "bank-success": function () {
      answerBank({ outcome: "success" });
    },
    "bank-failure": function () {
      answerBank({ outcome: "failure" });
    },
    "bank-pending": function () {
      waitForTheBank(paymentId);
    },
    "bank-cancel": function () {
      answerBank({ outcome: "cancel" });
    },
    "otp-cancel": function () {
      answerBank({ outcome: "cancel" });
    },
    "close-checkout": function () {
      tell("dismiss", {});
    },
  };

  document.addEventListener("submit", function (event) {
    var action = forms[event.target.id];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  // Also serves the refusal page, which has only the close button.
  document.addEventListener("click", function (event) {
    var action = buttons[event.target.id];
    if (action) {
      event.preventDefault();
      action();
    } else if (event.target === document.body || event.target === document.documentElement) {
      tell("backdrop", {});
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      tell("escape", {});
    }
  });

  // One method is open at a time, also where <details name> is not known.
  document.querySelectorAll("details.method").forEach(function (tab, _, tabs) {
    tab.addEventListener("toggle", function () {
      tabs.forEach(function (other) {
        other.open = other.open && (other === tab || !tab.open);
      });
    });
  });

  if (data.method && element("tab-" + data.method)) {
    element("tab-upi").open = data.method === "upi";
    element("tab-" + data.method).open = true;
  }

  document.body.inert = false; // until here no button could be pressed: none did anything
})();
