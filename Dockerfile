# Build: everything, then the compiled program.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY nest-cli.json tsconfig.json tsconfig.build.json bundle.js prisma.config.ts ./
COPY prisma ./prisma
COPY src ./src
RUN npm run build

# Production dependencies only. Prisma's CLI and TypeScript are optional peers of what we use, and stay out as such.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --omit=peer && npm cache clean --force

# The image. Nothing is written at run time: `docker run --read-only` works.
FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY prisma/migrations ./prisma/migrations
COPY prisma/migrate.js prisma/engine.js prisma/session.js prisma/long-transactions.js prisma/program.js ./prisma/
USER node
EXPOSE 3000
# The program handles SIGTERM itself: no shell or npm in between. `node prisma/migrate.js` migrates.
CMD ["node", "dist/main.js"]
