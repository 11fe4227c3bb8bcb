/* The demo shop: one call of the public API, then on to the hosted page. */
(function () {
  "use strict";

  var form = document.getElementById("shop");
  var button = document.getElementById("buy");
  var problem = document.getElementById("problem");

  function body() {
    var product = form.querySelector("[name=product]:checked");
    return {
      amount: Number(product.dataset.amount),
      gateway: form.elements.gateway.value,
      customer: { name: form.elements.name.value, email: form.elements.email.value, phone: form.elements.phone.value },
      description: product.value,
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

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    clear();
    button.disabled = true;
    fetch("/api/payment/create-order", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body()),
    })
      .then(function (response) {
        return response.json().then(function (answer) {
          if (response.ok) {
            window.location.assign(answer.order.paymentUrl);
          } else {
            button.disabled = false;
            show(answer);
          }
        });
      })
      .catch(function () {
        button.disabled = false;
        problem.textContent = "The service cannot be reached. Please try again.";
      });
  });

  window.addEventListener("pageshow", function () {
    button.disabled = false;
  });
})();
