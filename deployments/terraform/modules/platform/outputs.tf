output "namespace" {
  description = "Where the platform is."
  value       = kubernetes_namespace_v1.this.metadata[0].name
}

output "gateway_service" {
  description = "The service that clients or an ingress reach, at port 4300."
  value       = "${module.values.base}-gateway"
}

output "secret" {
  description = "The name of the Secret with the addresses and passwords."
  value       = module.values.secret
}
