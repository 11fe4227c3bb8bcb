/* The demo shop: its server signs the price, one call of the public API, then on to the hosted page. */
(function () {
  "use strict";

  var form = document.getElementById("shop");
  var buttons = form.querySelectorAll("button");
  var panel = window.demoPanel;
  var problem = document.getElementById("problem");

  function product() {
    return form.querySelector("[name=product]:checked").value;
  }

  // No amount: it is in the quote, where this page can read it and not change it.
  function body(quote) {
    return {
      quote: quote,
      gateway: form.elements.gateway.value,
      customer: { name: form.elements.name.value, email: form.elements.email.value, phone: form.elements.phone.value },
      returnUrl: form.dataset.returnUrl,
    };
  }

  function inputOf(field) {
    return document.getElementById(field.replace("customer.", ""));
  }

  function clear() {
    problem.textContent = "";
    form.querySelectorAll("[data-error]").forEach(function (place) {
      place.textContent = "";
    });
    form.querySelectorAll("[aria-invalid]").forEach(function (input) {
      input.removeAttribute("aria-invalid");
    });
  }

  function show(answer) {
    var unplaced = [];
    var details = answer.details && typeof answer.details === "object" ? answer.details : {};
    Object.keys(details).forEach(function (field) {
      var place = form.querySelector('[data-error="' + CSS.escape(field) + '"]');
      var input = inputOf(field);
      if (place) {
        place.textContent = details[field].join(" ");
      } else {
        unplaced.push(field + ": " + details[field].join(" "));
      }
      if (input) {
        input.setAttribute("aria-invalid", "true");
      }
    });
    problem.textContent = Object.keys(details).length ? unplaced.join(" ") : answer.error || "Something went wrong.";
    var first = form.querySelector("[aria-invalid]");
    if (first) {
      first.focus();
    }
  }

  // A new tab must be asked for before anything is waited for, or the browser takes it for an unwanted one.
  form.addEventListener("submit", function (event) {
    var beside = event.submitter && "beside" in event.submitter.dataset ? window.open("about:blank") : null;
    event.preventDefault();
    clear();
    setBusy(true);
    panel.restart();
    panel
      .call("POST", "/demo/quote", { product: product() })
      .then(function (priced) {
        return priced.ok ? panel.call("POST", "/api/payment/create-order", body(priced.answer.quote)) : priced;
      })
      .then(function (told) {
        if (told.ok) {
          go(told.answer, beside);
        } else {
          stop(beside);
          show(told.answer);
        }
      })
      .catch(function () {
        stop(beside);
        problem.textContent = "The service cannot be reached. Please try again.";
      });
  });

  function go(created, beside) {
    panel.note("page", "Payer’s browser", "opens the hosted page", new URL(created.order.paymentUrl).pathname);
    panel.follow(created.id);
    (beside || window).location.assign(created.order.paymentUrl);
    setBusy(!beside);
  }

  function stop(beside) {
    setBusy(false);
    if (beside) {
      beside.close();
    }
  }

  function setBusy(isBusy) {
    buttons.forEach(function (button) {
      button.disabled = isBusy;
    });
  }

  window.addEventListener("pageshow", function () {
    setBusy(false);
  });
})();
