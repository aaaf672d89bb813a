export { ModelCard } from './card.js'
export { Model, ModelError, type Values } from './model.js'
