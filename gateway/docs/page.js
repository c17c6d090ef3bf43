// Shows the gateway's own document, and asks no other host: the badge of the online validator is off.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: "none",
});
