import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const SQL_OUTSIDE_STORES = {
  selector: 'MemberExpression[property.name=/^\\$(queryRaw|executeRaw|rows|claimRows)$/]',
  message: 'SQL belongs into a *.store.ts.',
};
const UNSAFE_SQL = {
  selector: 'MemberExpression[property.name=/^\\$(queryRawUnsafe|executeRawUnsafe)$/]',
  message: 'Unsafe raw SQL is banned: use tagged templates with parameters.',
};

const CAN_PARSE = {
  selector: 'MemberExpression[object.name="URL"][property.name="canParse"]',
  message: 'Node 20 answers wrongly for Latin-1 characters once optimised: use parseUrl.',
};

export default defineConfig(
  { ignores: ['build', 'dist', 'src/generated', 'node_modules', 'coverage'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'no-restricted-syntax': ['error', UNSAFE_SQL, CAN_PARSE],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    // Injected classes must stay value imports: their constructor types are read at run time.
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/consistent-type-imports': 'off',
      'no-restricted-syntax': ['error', UNSAFE_SQL, CAN_PARSE, SQL_OUTSIDE_STORES],
    },
  },
  {
    files: ['src/**/*.store.ts', 'src/common/prisma/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', UNSAFE_SQL, CAN_PARSE] },
  },
  {
    // supertest's answers are untyped; what they hold is what the tests assert.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
    },
  },
  {
    files: ['**/*.js'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        WebAssembly: 'readonly',
        performance: 'readonly',
      },
    },
  },
);
